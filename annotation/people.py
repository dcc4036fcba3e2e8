"""One-time sign-in links, and the members of a project."""

from allauth.account.utils import perform_login
from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members, memberships_of
from annotation.accounts import make_sign_in_link, use_sign_in_link, user_of_link
from annotation.memberships import let_in
from annotation.models import Membership, Project, Role


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """A page with one button; the button spends the link and signs its bearer in, who
    is asked for a code first if the account has a second factor.

    Opening the page spends nothing: mail programs and chats fetch links to preview
    them. A link that does not work (spent, expired, never made) is 410.
    """
    user = use_sign_in_link(token) if request.method == "POST" else user_of_link(token)
    if user is None:
        return render(request, "account/link_gone.html", status=410)
    if request.method != "POST":
        return render(request, "account/sign_in_link.html", {"person": user})
    logout(request)  # whoever was signed in here
    response: HttpResponse = perform_login(request, user, redirect_url=reverse("home"))
    if request.user == user and not user.has_usable_password():
        advice = '<a href="{}">Set a password</a> to come back without a link.'
        messages.info(request, format_html(advice, reverse("account_set_password")))
    return response


class NewMember(forms.Form):
    """Somebody to be let into a project."""

    email = forms.EmailField(label="E-mail address", max_length=254)
    name = forms.CharField(
        max_length=200, help_text="What other admins call them; labelers never see it."
    )
    role = forms.ChoiceField(choices=Role.choices)

    def clean_email(self) -> str:
        """Addresses are compared without case."""
        return str(self.cleaned_data["email"]).lower()


class AlreadyMemberError(Exception):
    """The person, or somebody of that name, is a member already."""


def add_member(
    project: Project, *, email: str, name: str, role: str
) -> tuple[Membership, bool]:
    """Let a person in; with whether their account was made for it.

    Two admins may do this at once: constraints decide, and the second one gets
    AlreadyMemberError.
    """
    try:
        user, is_new = let_in(project, email=email, name=name, role=role)
    except IntegrityError as error:
        raise AlreadyMemberError(_taken(project, email=email, name=name)) from error
    return Membership.objects.get(project=project, user=user), is_new


def _taken(project: Project, *, email: str, name: str) -> str:
    members = Membership.objects.filter(project=project, revoked_at=None)
    if members.filter(user__email=email).exists():
        return f"{email} is a member of this project already."
    return f"Another member is called {name} already: choose another name."


def may_make_link(admin: Member, member: Membership) -> bool:
    """Whether an admin may get into this member's account in order to hand it over.

    Only when the account opens nothing that the admin may not open: not a site
    admin's, and no projects but those that the admin runs. Two queries.
    """
    if member.user is None or not member.user.is_active or member.user.is_site_admin:
        return False
    run_by_admin = memberships_of(admin.user).filter(role=Role.ADMIN)
    elsewhere = Membership.objects.filter(user=member.user).exclude(
        project__in=run_by_admin.values("project")
    )
    return not elsewhere.exists()


@require_safe
@never_cache
@for_members(Role.ADMIN)
def members(member: Member) -> HttpResponse:
    """Who is in the project, and the form to let somebody in."""
    return _members_page(member, NewMember(initial={"role": Role.LABELER}))


@require_POST
@for_members(Role.ADMIN)
def add(member: Member) -> HttpResponseBase:
    """Let somebody in, and show the one-time link to hand to them."""
    form = NewMember(member.request.POST)
    if not form.is_valid():
        return _members_page(member, form, status=422)
    try:
        added, is_new = add_member(member.project, **form.cleaned_data)
    except AlreadyMemberError as error:
        form.add_error(None, str(error))
        return _members_page(member, form, status=409)
    if is_new:
        _show_link(member, added)
    else:
        messages.success(
            member.request,
            f"{added.name} is a member now. Their account existed before, so they"
            " sign in as usual.",
        )
    return redirect("members", member.project.slug)


@require_POST
@for_members(Role.ADMIN)
def fresh_link(member: Member, membership_id: int) -> HttpResponseBase:
    """Make a link for a member who lost theirs; earlier ones end."""
    other = get_object_or_404(
        Membership.objects.with_account().select_related("user"),
        pk=membership_id,
        project=member.project,
        revoked_at=None,
    )
    if may_make_link(member, other):
        _show_link(member, other)
    else:
        messages.error(
            member.request,
            f"No link was made: {other.name} also belongs to projects that you do not"
            " run, or is a site admin. Whoever runs this site can make one with"
            f" `manage.py sign_in_link {other.user}`.",
        )
    return redirect("members", member.project.slug)


def _show_link(member: Member, added: Membership) -> None:
    assert added.user is not None
    messages.success(
        member.request,
        format_html(
            "Give {} this link. It signs them in once, within two days; it is shown"
            ' only now.<code class="one-time-link">{}</code>',
            added.name,
            make_sign_in_link(added.user),
        ),
    )


def _members_page(member: Member, form: NewMember, status: int = 200) -> HttpResponse:
    people = (
        Membership.objects.with_account()
        .filter(project=member.project, revoked_at=None)
        .select_related("user")
        .order_by("role", "name")
    )
    context = {"member": member, "people": people, "form": form}
    return render(member.request, "annotation/members.html", context, status=status)
