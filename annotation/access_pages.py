"""What one member may get at, for admins: their role, their API tokens, and the end."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotation import memberships
from annotation.access import Member, for_members
from annotation.models import Membership, Role
from annotation.second_factor import has_second_factor
from annotation.token_pages import revoke, tokens_shown

SIGNED_OUT = (
    "They were signed out everywhere, and their links and API tokens ended: they sign"
    " in again with their password, or with a fresh link from you."
)


class RoleForm(forms.Form):
    """Another role."""

    new_role = forms.ChoiceField(
        label="Role",
        choices=Role.choices,
        help_text="A change signs them out everywhere and ends their API tokens.",
    )


@require_safe
@never_cache
@for_members(Role.ADMIN)
def member_access(member: Member, membership_id: int) -> HttpResponse:
    """Role and tokens of one member. Three queries of its own."""
    return _page(member, _found(member, membership_id))


@require_POST
@for_members(Role.ADMIN)
def change_role(member: Member, membership_id: int) -> HttpResponseBase:
    """Give somebody another role."""
    found = _found(member, membership_id)
    form = RoleForm(member.request.POST)
    if not form.is_valid():
        return _page(member, found, form, status=422)
    role = Role(form.cleaned_data["new_role"])
    if role == found.role:
        messages.info(member.request, f"{found.name} is {role.label.lower()} already.")
    else:
        memberships.change_role(found, role, by=member.membership)
        what = f"{found.name} is {role.label.lower()} from now on."
        messages.success(member.request, f"{what} {SIGNED_OUT}")
    return redirect("member_access", member.project.slug, membership_id)


@require_POST
@for_members(Role.ADMIN)
def remove(member: Member, membership_id: int) -> HttpResponseBase:
    """Close the project to somebody."""
    found = _found(member, membership_id)
    memberships.revoke(found, by=member.membership)
    messages.success(
        member.request,
        f"{found.name} is no member any more. What they ranked is kept and counts. To"
        " let them in again, add them with the same e-mail address.",
    )
    return redirect("members", member.project.slug)


@require_POST
@for_members(Role.ADMIN)
def revoke_token(member: Member, membership_id: int) -> HttpResponseBase:
    """End an API token of a member's."""
    found = _found(member, membership_id)
    assert found.user is not None
    if revoke(found.user, member.request.POST.get("key", "")):
        messages.success(member.request, f"A token of {found.name}'s is revoked.")
    else:
        messages.info(member.request, f"{found.name} has no such token.")
    return redirect("member_access", member.project.slug, membership_id)


def _found(member: Member, membership_id: int) -> Membership:
    """Somebody who can sign in, of this project."""
    return get_object_or_404(
        Membership.objects.with_account().select_related("user", "project"),
        pk=membership_id,
        project=member.project,
        revoked_at=None,
    )


def _page(
    member: Member, found: Membership, form: RoleForm | None = None, status: int = 200
) -> HttpResponse:
    assert found.user is not None
    context: dict[str, Any] = {
        "member": member,
        "person": found,
        "is_oneself": found.pk == member.membership.pk,
        "second_factor": has_second_factor(found.user),
        "tokens": tokens_shown(found.user),
        "form": form or RoleForm(initial={"new_role": found.role}),
    }
    template = "annotation/member_access.html"
    return render(member.request, template, context, status=status)
