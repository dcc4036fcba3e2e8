"""Pages for researchers: frozen datasets; and, for admins, the form
that imports rankings."""

from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.models import Role
from annotation.prompt_pages import import_page
from ranking.datasets import NothingToFreeze, freeze
from ranking.filters import INCLUDABLE, POOLS, InvalidFilter, filters_from_query
from ranking.imports import import_rankings
from ranking.models import Dataset, PromptSplit, Split
from ranking.withdrawal import withdrawn_from

RESEARCHERS: Final = (Role.RESEARCHER, Role.ADMIN)
DATASETS_PER_PAGE: Final = 50


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def import_rankings_page(member: Member) -> HttpResponse:
    """The form that imports rankings made elsewhere, and the report of what it did."""
    return import_page(member, import_rankings, what="rankings")


@require_safe
@for_members(*RESEARCHERS)
def datasets(member: Member) -> HttpResponse:
    """All datasets of the project, newest first, and the form to freeze one."""
    return _datasets_page(member)


@require_POST
@for_members(*RESEARCHERS)
def freeze_dataset(member: Member) -> HttpResponse:
    """Freeze what counts and matches, and go to the dataset."""
    try:
        filters = filters_from_query(
            member.project,
            member.request.POST,
            by_name=member.role == Role.ADMIN,
        )
        frozen = freeze(member.project, filters, user=member.user)
    except (InvalidFilter, NothingToFreeze) as error:
        return _datasets_page(member, refusal=str(error), status=422)
    messages.success(member.request, f"{frozen.name} is frozen: it never changes.")
    return redirect("dataset", member.project.slug, frozen.name)


@require_safe
@for_members(*RESEARCHERS)
def dataset(member: Member, name: str) -> HttpResponse:
    """One dataset: what it holds, its files, and how to read them."""
    return _dataset_page(member, _dataset(member, name))


def _dataset_page(
    member: Member, found: Dataset, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    held = PromptSplit.objects.filter(
        prompt__in=found.rankings.values("assignment__prompt")
    ).values_list("split", flat=True)
    splits = dict.fromkeys(Split.values, 0)
    for split in held:
        splits[split] += 1
    filters = {
        name.replace("_", " "): ", ".join(map(str, value))
        if isinstance(value, list)
        else value
        for name, value in found.filters.items()
    }
    context = {
        "member": member,
        "dataset": found,
        "splits": splits,
        "filters": filters,
        "withdrawn": withdrawn_from(found),
        "refusal": refusal,
        "losses": found.losses.order_by("pk"),
    }
    return render(member.request, "ranking/dataset.html", context, status=status)


def _dataset(member: Member, name: str) -> Dataset:
    if not name.isprintable():
        raise Http404("No such dataset.")
    return get_object_or_404(
        Dataset.objects.select_related("project"),
        project=member.project,
        name=name,
    )


def _datasets_page(
    member: Member, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    rows = Dataset.objects.filter(project=member.project).order_by("-pk")
    context: dict[str, Any] = {
        "member": member,
        "page": Paginator(rows, DATASETS_PER_PAGE).get_page(
            member.request.GET.get("page")
        ),
        "pools": POOLS,
        "includable": INCLUDABLE,
        "chosen": member.request.POST,
        "included": member.request.POST.getlist("include"),
        "refusal": refusal,
    }
    return render(member.request, "ranking/datasets.html", context, status=status)
