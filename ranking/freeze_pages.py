"""Pages for researchers: a dataset is chosen, counted beforehand, and frozen."""

import re
from typing import Final

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.dataset_pages import RESEARCHERS, datasets_page
from ranking.datasets import NothingToFreeze
from ranking.filter_words import filters_from_query
from ranking.filters import Filters, InvalidFilter
from ranking.freezing import freeze_or_queue, runs_shown
from ranking.matching import matching
from ranking.models import Dataset, FreezeRun

LARGEST_SEED: Final = 2**31 - 1


@require_POST
@for_members(*RESEARCHERS)
def freeze_dataset(member: Member) -> HttpResponse:
    """Freeze what counts and matches, now or by a worker."""
    form = member.request.POST
    try:
        made = freeze_or_queue(
            member.project,
            _filters(member, form),
            user=member.user,
            seed=seed_of(form.get("seed", "")),
        )
    except (InvalidFilter, NothingToFreeze) as error:
        return datasets_page(member, refusal=str(error), status=422)
    if isinstance(made, Dataset):
        messages.success(member.request, f"{made.name} is frozen: it never changes.")
        return redirect("dataset", member.project.slug, made.name)
    return redirect("datasets", member.project.slug)


@require_safe
@for_members(*RESEARCHERS)
def dataset_matching(member: Member) -> HttpResponse:
    """How much matches the filters of a form, as a part of the page with the form."""
    context: dict[str, object] = {}
    try:
        context["found"] = matching(
            member.project, _filters(member, member.request.GET)
        )
    except InvalidFilter as error:
        context["refusal"] = str(error)
    return render(member.request, "ranking/_matching.html", context)


@require_safe
@for_members(*RESEARCHERS)
def freezes(member: Member) -> HttpResponse:
    """The freezes that workers are at, as the part of the list that changes.

    Once none is unfinished the page around it is loaded anew: a dataset has come.
    """
    runs = list(runs_shown(member.project))
    unfinished = any(run.is_unfinished for run in runs)
    context = {"member": member, "runs": runs, "unfinished": unfinished}
    response = render(member.request, "ranking/_freezes.html", context)
    if not unfinished:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@for_members(*RESEARCHERS)
def cancel_freeze(member: Member, pk: int) -> HttpResponse:
    """Stop a freeze; nothing of it is kept."""
    run = get_object_or_404(FreezeRun, project=member.project, pk=pk)
    if run.cancel():
        messages.success(member.request, "The freeze was cancelled: nothing was kept.")
    else:
        messages.warning(member.request, "It had ended before: nothing was changed.")
    return redirect("datasets", member.project.slug)


def seed_of(word: str) -> int:
    """Raises InvalidFilter."""
    if not re.fullmatch("[0-9]{0,10}", word) or int(word or 0) > LARGEST_SEED:
        raise InvalidFilter(
            f"seed: {word[:50]!r} is not a whole number from 0 to {LARGEST_SEED}"
        )
    return int(word or 0)


def _filters(member: Member, query: QueryDict) -> Filters:
    return filters_from_query(member.project, query, by_name=member.role == Role.ADMIN)
