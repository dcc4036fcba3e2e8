"""What the ranking page's script asks for on the side.

The next prompt, before it is needed; and the page about rankings that a device holds
and the server refused, which only the script of that page can list.
"""

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from annotation import queue
from annotation.access import Member, for_members
from annotation.models import Role


@require_POST
@for_members(Role.LABELER)
def rank_prefetch(member: Member) -> JsonResponse:
    """Set the next prompt aside for two minutes; `url` is its page, or null.

    Opening that page renews nothing: its script says when it is shown.
    """
    assignment = queue.prefetch(member.membership)
    if assignment is None:
        return JsonResponse({"url": None})
    slug = member.project.slug
    return JsonResponse({"url": reverse("rank_prompt", args=[slug, assignment.token])})


@require_safe
@for_members(Role.LABELER)
def rank_unsent(member: Member) -> HttpResponse:
    """The rankings that wait on this device, with what became of each."""
    return render(member.request, "ranking/unsent.html", {"member": member})
