"""Withdrawing a labeler's rankings: what they touched, and the button.

A page of the last room, because it names the datasets and the models that learned from
these rankings.
"""

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotation.access import Member, for_members
from annotation.models import Membership, Role
from ranking.holdings import datasets_with_labeler
from ranking.models import Withdrawal
from ranking.withdrawal import (
    AlreadyWithdrawnError,
    NotWithdrawnError,
    reinstate,
    withdraw,
)
from rm_training.registry import models_made_from


class WithdrawalForm(forms.Form):
    """Why; it stays on record."""

    reason = forms.CharField(
        max_length=300,
        strip=True,
        help_text="For other admins, now and later. The labeler does not see it.",
    )


@require_safe
@never_cache
@for_members(Role.ADMIN)
def withdrawal(member: Member, membership_id: int) -> HttpResponse:
    """What one labeler's rankings are part of, and the form. Four queries."""
    labeler = _labeler_of(member, membership_id)
    return _page(member, labeler, WithdrawalForm())


@require_POST
@for_members(Role.ADMIN)
def withdraw_labeler(member: Member, membership_id: int) -> HttpResponseBase:
    """Have all that they ranked count for nothing."""
    labeler = _labeler_of(member, membership_id)
    form = WithdrawalForm(member.request.POST)
    if not form.is_valid():
        return _page(member, labeler, form, status=422)
    try:
        opened = withdraw(labeler, reason=form.cleaned_data["reason"], user=member.user)
    except AlreadyWithdrawnError as refusal:
        messages.error(member.request, str(refusal))
    else:
        slots = "1 prompt is" if opened == 1 else f"{opened} prompts are"
        messages.success(
            member.request,
            f"The rankings of {labeler.name} are withdrawn, and they are paused."
            f" {slots} in the queue again. Nothing was deleted.",
        )
    return redirect("withdrawal", member.project.slug, membership_id)


@require_POST
@for_members(Role.ADMIN)
def reinstate_labeler(member: Member, membership_id: int) -> HttpResponseBase:
    """Have their rankings count again."""
    labeler = _labeler_of(member, membership_id)
    try:
        reinstate(labeler, user=member.user)
    except NotWithdrawnError as refusal:
        messages.error(member.request, str(refusal))
    else:
        messages.success(
            member.request,
            f"The rankings of {labeler.name} count again. They are still paused.",
        )
    return redirect("withdrawal", member.project.slug, membership_id)


def _labeler_of(member: Member, membership_id: int) -> Membership:
    """Anybody who ranks, also one who came with imported rankings."""
    return get_object_or_404(
        Membership, pk=membership_id, project=member.project, role=Role.LABELER
    )


def _page(
    member: Member, labeler: Membership, form: WithdrawalForm, status: int = 200
) -> HttpResponse:
    holdings = datasets_with_labeler(labeler)
    of_theirs = Withdrawal.objects.filter(labeler=labeler).order_by("-pk")
    history = list(of_theirs.select_related("withdrawn_by", "ended_by"))
    context = {
        "member": member,
        "labeler": labeler,
        "holdings": holdings,
        "models": models_made_from(one.dataset for one in holdings),
        "in_force": next((one for one in history if one.ended_at is None), None),
        "history": history,
        "form": form,
    }
    return render(member.request, "rm_training/withdrawal.html", context, status=status)
