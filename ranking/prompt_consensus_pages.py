"""Who ranked what of one prompt, side by side, and what they say together: for admins
by name, for researchers by pseudonym."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Membership, Prompt, Role
from annotation.shown import in_id_order
from ranking.consensus_weighted import weighted_consensus
from ranking.desk import labeler_of
from ranking.prompt_consensus import consensus_of, rankings_of


@require_safe
@never_cache
@for_members(Role.ADMIN, Role.RESEARCHER)
def prompt_consensus(member: Member, pk: int) -> HttpResponse:
    """Each labeler's ranking of a prompt, and below them what they say together. Six
    queries."""
    prompts = Prompt.objects.filter(project=member.project).select_related("project")
    prompt = get_object_or_404(prompts.select_related("rejection"), pk=pk)
    rankings = rankings_of(prompt)
    responses = in_id_order(prompt.responses.all())
    found = consensus_of(rankings, responses)
    labelers = [labeler_of(one.assignment) for one in rankings]
    names = [_called(member, one) for one in labelers]
    weighted = weighted_consensus(member.project, labelers, found)
    weights = weighted.weights if weighted else []
    context = {
        "member": member,
        "here": "disagreement",
        "prompt": prompt,
        "rejection": getattr(prompt, "rejection", None),
        "consensus": found,
        "voters": list(zip(names, rankings, strict=True)),
        "responses": [one.response for one in found.placed] if found else responses,
        "weighted": weighted,
        "weights": list(zip(names, weights, strict=False)),
    }
    return render(member.request, "ranking/prompt_consensus.html", context)


def _called(member: Member, labeler: Membership) -> str:
    if member.role != Role.ADMIN:
        return member.project.pseudonym(labeler.pk)
    return labeler.name if labeler.user_id else f"{labeler.name} (imported)"
