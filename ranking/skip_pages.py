"""Skipping a prompt by a form. The page's script asks the API instead."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from annotation.access import Member, for_members
from annotation.models import Assignment, Role, SkipReason
from annotation.skips import SkipRefusedError, skip
from ranking.telemetry import measurements
from ranking.views import rank_claim

LONGEST_TEXT = 2_000  # characters


class SkipForm(forms.Form):
    """Why a prompt is skipped. Whether words are needed too is decided by the verb."""

    reason = forms.ChoiceField(
        choices=SkipReason.choices,
        error_messages={
            "required": "Choose a reason.",
            "invalid_choice": "There is no reason %(value)s.",
        },
    )
    text = forms.CharField(
        required=False,
        max_length=LONGEST_TEXT,
        error_messages={
            "max_length": "Your words are %(show_value)s characters long; the most is"
            " %(limit_value)s."
        },
    )
    active_ms = forms.FloatField(required=False)  # by the browser's clock

    def clean(self) -> dict[str, Any]:
        """Milliseconds as seconds, at most a day; None if the page did not measure."""
        cleaned = super().clean() or self.cleaned_data
        measured = measurements({"active_ms": cleaned.pop("active_ms", None)})
        milliseconds = measured.get("active_ms")
        cleaned["active_seconds"] = milliseconds and milliseconds / 1000
        return cleaned


@require_POST
@for_members(Role.LABELER)
def rank_skip(member: Member, token: str) -> HttpResponseBase:
    """Record the reason, and go on to the next prompt; without one, come back."""
    mine = get_object_or_404(Assignment, labeler=member.membership, token=token)
    form = SkipForm(member.request.POST)
    if not form.is_valid():
        said = [str(error) for errors in form.errors.values() for error in errors]
        return _back(member, token, f"Not skipped: {' '.join(said)}")
    try:
        skip(membership=member.membership, token=mine.token, **form.cleaned_data)
    except SkipRefusedError as error:
        return _back(member, token, str(error))
    messages.success(member.request, "Prompt skipped. It does not come to you again.")
    return rank_claim(member.request, member.project.slug)


def _back(member: Member, token: str, message: str) -> HttpResponseBase:
    messages.error(member.request, message)
    return redirect("rank_prompt", member.project.slug, token)
