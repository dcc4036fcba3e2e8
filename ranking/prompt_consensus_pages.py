"""What everybody said of one prompt: for admins by name, for researchers by
pseudonym."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Membership, Prompt, Role
from ranking.consensus_weighted import weighted_consensus
from ranking.prompt_consensus import consensus_of


@require_safe
@never_cache
@for_members(Role.ADMIN, Role.RESEARCHER)
def prompt_consensus(member: Member, pk: int) -> HttpResponse:
    """Each labeler's ranking of a prompt, and beside them what they say together. Six
    queries."""
    prompts = Prompt.objects.filter(project=member.project).select_related("project")
    prompt = get_object_or_404(prompts.select_related("rejection"), pk=pk)
    found = consensus_of(prompt)
    labelers = found.labelers if found else []
    voters = [(_called(member, one), one) for one in labelers]
    weighted = weighted_consensus(member.project, found)
    weights = weighted.weights if weighted else []
    context = {
        "member": member,
        "prompt": prompt,
        "rejection": getattr(prompt, "rejection", None),
        "consensus": found,
        "voters": voters,
        "weighted": weighted,
        "weights": [
            (name, one) for (name, _), one in zip(voters, weights, strict=False)
        ],
    }
    return render(member.request, "ranking/prompt_consensus.html", context)


def _called(member: Member, labeler: Membership) -> str:
    if member.role != Role.ADMIN:
        return member.project.pseudonym(labeler.pk)
    return labeler.name if labeler.user_id else f"{labeler.name} (imported)"
