"""What admins decide about one labeler: pause, resume, qualified or not."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotation import standing
from annotation.access import Member, for_members
from annotation.models import Membership, Qualification, Role
from annotation.terms import consents_of


class QualificationForm(forms.Form):
    """An admin's decision."""

    decision = forms.ChoiceField(
        choices=[
            (Qualification.PASSED, "Passed: they are handed work"),
            (Qualification.FAILED, "Failed: they are handed nothing"),
            (Qualification.PENDING, "Leave it to the test"),
        ],
        widget=forms.RadioSelect,
    )


@require_safe
@never_cache
@for_members(Role.ADMIN)
def labeler(member: Member, membership_id: int) -> HttpResponse:
    """How one labeler stands, and the forms that change it. Two queries of its own."""
    return _labeler_page(member, _labeler_of(member, membership_id))


@require_POST
@for_members(Role.ADMIN)
def pause(member: Member, membership_id: int) -> HttpResponseBase:
    """Hand somebody nothing more."""
    found = _labeler_of(member, membership_id)
    released = standing.pause(found)
    what = " The prompt that they held is in the queue again." if released else ""
    messages.success(
        member.request,
        f"{found.name} is paused.{what} What they have ranked is kept and counts.",
    )
    return redirect("labeler", member.project.slug, membership_id)


@require_POST
@for_members(Role.ADMIN)
def resume(member: Member, membership_id: int) -> HttpResponseBase:
    """Hand somebody work again."""
    found = _labeler_of(member, membership_id)
    try:
        standing.resume(found)
    except standing.StillWithdrawnError as refusal:
        messages.error(member.request, str(refusal))
    else:
        messages.success(member.request, f"{found.name} is handed work again.")
    return redirect("labeler", member.project.slug, membership_id)


@require_POST
@for_members(Role.ADMIN)
def decide(member: Member, membership_id: int) -> HttpResponseBase:
    """Say oneself whether somebody qualified."""
    found = _labeler_of(member, membership_id)
    form = QualificationForm(member.request.POST)
    if not form.is_valid():
        return _labeler_page(member, found, form, status=422)
    decision = Qualification(form.cleaned_data["decision"])
    standing.decide_qualification(found, decision=decision, user=member.user)
    messages.success(member.request, f"Noted: {found.name}, {decision.label.lower()}.")
    return redirect("labeler", member.project.slug, membership_id)


def _labeler_of(member: Member, membership_id: int) -> Membership:
    """A labeler with an account; admins and researchers are handed no work anyway."""
    return get_object_or_404(
        Membership.objects.with_account().select_related(
            "user", "project", "qualification_decided_by"
        ),
        pk=membership_id,
        project=member.project,
        role=Role.LABELER,
    )


def _labeler_page(
    member: Member,
    found: Membership,
    form: QualificationForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "member": member,
        "labeler": found,
        "consent": consents_of(found).first(),
        "form": form or QualificationForm(initial={"decision": found.qualification}),
    }
    return render(member.request, "annotation/labeler.html", context, status=status)
