"""The page after a training prompt."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from annotation.rendered import html_of
from annotation.shown import as_shown, responses_of
from ranking.feedback import feedback_of, has_feedback
from ranking.models import Ranking
from ranking.rank_page import texts_of, turns_of


def feedback_address(ranking: Ranking) -> str | None:
    """Where a labeler goes after this ranking of theirs; None: to the next prompt."""
    if not has_feedback(ranking):
        return None
    slug = ranking.assignment.project.slug
    return reverse("training_feedback", args=[slug, ranking.assignment.token])


@require_safe
@never_cache
@for_members(Role.LABELER)
def feedback(member: Member, token: str) -> HttpResponse:
    """The right order beside the labeler's own; 404 for all but their own training
    prompts, and for these until they have ranked them."""
    ranking = (
        Ranking.objects.current()
        .filter(assignment__labeler=member.membership, assignment__token=token)
        .select_related("assignment__prompt")
        .first()
    )
    shown = feedback_of(ranking) if ranking else None
    if ranking is None or shown is None:
        raise Http404("There is no feedback here.")
    assignment = ranking.assignment
    responses = responses_of(assignment, texts=True)
    html = html_of(texts_of(assignment, responses))
    by_letter = as_shown(assignment, responses)
    context: dict[str, Any] = {
        "member": member,
        "feedback": shown,
        "turns": turns_of(assignment.prompt.messages, html),
        "responses": [
            (letter, html[by_letter[letter].text])
            for letter in sorted(by_letter, key=lambda one: (shown.gold[one], one))
        ],
    }
    return render(member.request, "ranking/feedback.html", context)
