"""The queue of disagreement, and who ranked what of one prompt, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Prompt, Purpose, Response
from ranking.dashboard_pages import READERS, Asked, answered, names_for
from ranking.disagreement import FEWEST, splits
from ranking.filters import Filters, rankings_that_count
from ranking.models import Ranking

PER_PAGE = 50


@require_safe
@for_members(*READERS)
def disagreement(member: Member) -> HttpResponse:
    """The prompts on which people disagree most surely."""
    return answered(member, _queue)


def _queue(asked: Asked) -> HttpResponse:
    request = asked.member.request
    found = Paginator(splits(asked.tallies), PER_PAGE)
    page = found.get_page(request.GET.get("page"))
    keys = [split.prompt for split in page]
    prompts = Prompt.objects.only("external_id", "messages").in_bulk(keys)
    query = request.GET.copy()
    query.pop("page", None)
    context = asked.context | {
        "here": "disagreement",
        "without_page": query.urlencode(),
        "page": page,
        "fewest": FEWEST,
        "rows": [(split, prompts[split.prompt]) for split in page],
    }
    return render(request, "ranking/disagreement.html", context)


@require_safe
@for_members(*READERS)
def disagreement_prompt(member: Member, pk: int) -> HttpResponse:
    """Every current ranking of one prompt that counts, beside the others."""
    prompt = get_object_or_404(
        Prompt, project=member.project, purpose=Purpose.WORK, pk=pk
    )
    rankings = list(
        rankings_that_count(member.project, Filters())
        .filter(assignment__prompt=prompt)
        .select_related("assignment", "instructions")
        .prefetch_related("placements")
        .order_by("pk")
    )
    responses = sorted(prompt.responses.all(), key=lambda one: one.external_id)
    names = names_for(member, [one.assignment.labeler_id or 0 for one in rankings])
    context = {
        "member": member,
        "here": "disagreement",
        "prompt": prompt,
        "rankings": [(names[r.assignment.labeler_id or 0], r) for r in rankings],
        "rows": _side_by_side(responses, rankings),
    }
    return render(member.request, "ranking/disagreement_prompt.html", context)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A response and its rank in each ranking."""

    response: Response
    ranks: Sequence[int]

    @property
    def mean(self) -> float | None:
        """Of its ranks; None without one."""
        return sum(self.ranks) / len(self.ranks) if self.ranks else None

    @property
    def spread(self) -> int | None:
        """Between the highest and the lowest rank; None without one."""
        return max(self.ranks) - min(self.ranks) if self.ranks else None


def _side_by_side(
    responses: Sequence[Response], rankings: Sequence[Ranking]
) -> Sequence[Row]:
    """By mean rank, the best first."""
    ranks = [
        {placed.response_id: placed.rank for placed in ranking.placements.all()}
        for ranking in rankings
    ]
    rows = [
        Row(response=one, ranks=[ranked[one.pk] for ranked in ranks])
        for one in responses
    ]
    return sorted(rows, key=lambda row: (row.mean or 0, row.response.external_id))
