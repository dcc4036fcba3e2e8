"""The queue of disagreement: the prompts that split people."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Prompt
from ranking.dashboard_sums import READERS, Asked, answered
from ranking.disagreement import FEWEST, splits

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
