"""The page for admins that lists the prompts of a project."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import (
    Assignment,
    AssignmentState,
    Project,
    Prompt,
    PromptRejection,
    Response,
    Role,
    Skip,
    SkipReason,
)
from annotation.paging import cursor_of, newest_first
from annotation.slots import HELD

PROMPTS_PER_PAGE: Final = 50

RANKED = Count("pk", filter=Q(state=AssignmentState.COMPLETED))
MISSING = Count("pk", filter=Q(state__in=[AssignmentState.OPEN, *HELD]))

# What the list may be narrowed to: word of the address → words of the page.
CHOICES: Final = {"": "All", "skipped": "Skipped by labelers", "out": "Taken out"}


@dataclass(frozen=True)
class PromptRow:
    """What the list says of one prompt."""

    prompt: Prompt
    k: int  # responses
    ranked: int  # rankings, imported ones included
    missing: int  # rankings that the queue still asks for
    skips: Mapping[str, int]  # how often it was skipped, by reason

    @property
    def rejection(self) -> PromptRejection | None:
        """Why it was taken out; None if it was not."""
        return getattr(self.prompt, "rejection", None)

    @property
    def state(self) -> str:
        """In one word; also the word of the style sheet."""
        if self.rejection is not None:
            return "taken out"
        if self.prompt.failure:
            return "failed"
        if not self.k:
            return "awaiting responses"
        if self.missing:
            return "open"
        return "done" if self.ranked else "not queued"


@require_safe
@for_members(Role.ADMIN)
def prompts(member: Member) -> HttpResponse:
    """The prompts, newest first, and how far each one is. Six queries of its own."""
    show = member.request.GET.get("show", "")
    page, older = newest_first(
        _chosen(member.project, show),
        most=PROMPTS_PER_PAGE,
        before=cursor_of(member.request.GET.get("before", "")),
    )
    context = {
        "member": member,
        "counts": _counts(member.project),
        "rows": _rows(page),
        "older": older,
        "choices": CHOICES,
        "show": show if show in CHOICES else "",
    }
    return render(member.request, "annotation/prompts.html", context)


def _chosen(project: Project, show: str) -> QuerySet[Prompt]:
    """The project's prompts, or those that somebody skipped, or that were taken out."""
    prompts = Prompt.objects.filter(project=project).select_related("rejection")
    prompts = prompts.defer("messages", "metadata")
    if show == "skipped":
        return prompts.filter(
            Exists(Skip.objects.filter(assignment__prompt=OuterRef("pk")))
        )
    return prompts.filter(rejection__isnull=False) if show == "out" else prompts


def _rows(page: list[Prompt]) -> list[PromptRow]:
    """How far each prompt of a page is. Three queries."""
    responses = dict(
        Response.objects.filter(prompt__in=page)
        .values("prompt")
        .annotate(k=Count("pk"))
        .values_list("prompt", "k")
    )
    slots = {
        prompt: (ranked, missing)
        for prompt, ranked, missing in Assignment.objects.filter(prompt__in=page)
        .values("prompt")
        .annotate(ranked=RANKED, missing=MISSING)
        .values_list("prompt", "ranked", "missing")
    }
    skips = skips_by_prompt(page)
    return [
        PromptRow(
            prompt,
            responses.get(prompt.pk, 0),
            *slots.get(prompt.pk, (0, 0)),
            skips=skips.get(prompt.pk, {}),
        )
        for prompt in page
    ]


def skips_by_prompt(prompts: Iterable[Prompt]) -> dict[int, dict[str, int]]:
    """How often prompts were skipped: prompt → reason in words → number. One query."""
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    counts = (
        Skip.objects.filter(assignment__prompt__in=prompts)
        .values("assignment__prompt", "reason")
        .annotate(times=Count("pk"))
        .order_by("-times", "reason")
        .values_list("assignment__prompt", "reason", "times")
    )
    for prompt, reason, times in counts:
        found[prompt][SkipReason(reason).label] = times
    return found


def _counts(project: Project) -> dict[str, int]:
    """Figures of the whole project. Two queries."""
    with_responses = Exists(Response.objects.filter(prompt=OuterRef("pk")))
    of_prompts = Prompt.objects.filter(project=project).aggregate(
        prompts=Count("pk"),
        failed=Count("pk", filter=~Q(failure="")),
        awaiting=Count("pk", filter=Q(~with_responses, failure="")),
    )
    of_slots = Assignment.objects.filter(project=project).aggregate(
        ranked=RANKED, missing=MISSING
    )
    return of_prompts | of_slots
