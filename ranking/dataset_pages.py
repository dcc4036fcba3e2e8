"""Pages for researchers: frozen datasets."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import (
    require_safe,
)

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.dataset_diff import new_since
from ranking.dataset_facts import (
    asked_again,
    chosen_by,
    labelers_of,
    preview,
    splits_of,
)
from ranking.export.choice import FORMATS, SPLITS
from ranking.exporting import exports_of
from ranking.filters import InvalidFilter
from ranking.folds import FOLDS
from ranking.freeze_form import FreezeForm
from ranking.freezing import runs_shown
from ranking.models import Dataset
from ranking.withdrawal import withdrawn_from

RESEARCHERS: Final = (Role.RESEARCHER, Role.ADMIN)
DATASETS_PER_PAGE: Final = 50
ROWS_OF: Final = {
    "pairs": "a strict pair, for TRL",
    "rankings": "a ranking, ties kept",
    "kto": "a response, wanted or not, for TRL",
    "openrlhf": "a strict pair, for OpenRLHF",
    "nemo": "a strict pair, for NeMo RL",
    "label-studio": "a prompt with its rankings",
    "argilla": "a prompt with its rankings",
}
WHERE_PEOPLE_DISAGREE: Final = {
    "each": "every labeler's ranking",
    "majority": "what most prefer",
    "soft": "the share who prefer it",
    "consensus": "one order a prompt",
}
OTHERS_SHOWN: Final = 50


@require_safe
@for_members(*RESEARCHERS)
def datasets(member: Member) -> HttpResponse:
    """All datasets of the project, newest first, and the form to freeze one."""
    return datasets_page(member)


@require_safe
@for_members(*RESEARCHERS)
def dataset(member: Member, name: str) -> HttpResponse:
    """One dataset: what it holds, its files, and how to read them."""
    return _dataset_page(member, dataset_named(member, name))


def _dataset_page(
    member: Member, found: Dataset, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    labelers = labelers_of(found)
    others = Dataset.objects.filter(project=member.project).exclude(pk=found.pk)
    context = {
        "member": member,
        "dataset": found,
        "splits": splits_of(found),
        "labelers": labelers,
        "folds": FOLDS,
        "filters": chosen_by(found),
        "withdrawn": withdrawn_from(found),
        "new_since": _new_since(found),
        "again": asked_again(found),
        "preview": preview(found),
        "others": others.order_by("-pk")[:OTHERS_SHOWN],
        "refusal": refusal,
        **exports_of(found),
        "losses": found.losses.order_by("pk"),
        "kinds": ROWS_OF.items(),
        "formats": FORMATS,
        "disagreements": WHERE_PEOPLE_DISAGREE.items(),
        "split_names": SPLITS,
        "site": member.request.build_absolute_uri("/").rstrip("/"),
    }
    return render(member.request, "ranking/dataset.html", context, status=status)


def _new_since(found: Dataset) -> int | None:
    """None where its filters name a labeler who is gone."""
    try:
        return new_since(found).count()
    except InvalidFilter:
        return None


def dataset_named(member: Member, name: str) -> Dataset:
    """A dataset of the project. Raises Http404."""
    if not name.isprintable():
        raise Http404("No such dataset.")
    return get_object_or_404(
        Dataset.objects.select_related("project", "created_by"),
        project=member.project,
        name=name,
    )


def datasets_page(
    member: Member, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    """The list, and the form with what was typed into it."""
    request = member.request
    rows = Dataset.objects.filter(project=member.project).select_related("created_by")
    runs = list(runs_shown(member.project))
    context: dict[str, Any] = {
        "member": member,
        "page": Paginator(rows.order_by("-pk"), DATASETS_PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "runs": runs,
        "unfinished": any(run.is_unfinished for run in runs),
        "form": FreezeForm.of(member, request.POST),
        "chosen": request.POST,
        "refusal": refusal,
    }
    return render(request, "ranking/datasets.html", context, status=status)
