"""Who may do what: every object is loaded and authorised in one move.

A view cannot hold an object that its reader may not have. Somebody else's object
does not exist for them: 404. The wrong role in one's own project is refused: 403.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from annotation.changes import acting
from annotation.models import Membership, Project, Role, User
from annotation.prepared import Given, Prepared

P = ParamSpec("P")
EVERYBODY = frozenset(Role)


class SignedInRequest(HttpRequest):
    """A request whose user is known."""

    user: User


@dataclass(frozen=True)
class Member:
    """A signed-in person in one project, as a view receives them."""

    request: SignedInRequest
    membership: Membership

    @property
    def project(self) -> Project:
        """The project they came for."""
        return self.membership.project

    @property
    def user(self) -> User:
        """Their account."""
        return self.request.user

    @property
    def role(self) -> Role:
        """Their one role here."""
        return Role(self.membership.role)


def memberships_of(user: User) -> QuerySet[Membership]:
    """The projects that a person belongs to, with the role in each."""
    return Membership.objects.filter(user=user, revoked_at=None).select_related(
        "project"
    )


_MEMBERSHIP = Prepared(
    lambda: Membership.objects.select_related("project").filter(
        user=Given("user"), project__slug=Given("slug"), revoked_at=None
    )
)


def load_membership(
    user: User, slug: str, allowed: frozenset[Role] = EVERYBODY
) -> Membership:
    """The person's membership in the project `slug`. One query.

    Errors: Http404 for a project that is not theirs (or not there: no difference);
    PermissionDenied when their role there is not among `allowed`.
    """
    membership = _MEMBERSHIP.first(user=user.pk, slug=slug)
    if membership is None:
        raise Http404("No such project.")
    if membership.role not in allowed:
        raise PermissionDenied(f"This page is not for the role {membership.role}.")
    return membership


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Where signed-out people go, to come back to the page that they were on.

    A page that refreshes a part of itself goes there as a whole, or the form to sign
    in would stand in the place of that part. After a form they come back to the page
    it was on, for many a form's own address cannot be looked at.
    """
    if "HX-Request" in request.headers:
        return HttpResponseClientRedirect(resolve_url(settings.LOGIN_URL))
    if request.method in ("GET", "HEAD"):
        return redirect_to_login(request.get_full_path())
    page = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(
        page, {request.get_host()}, require_https=request.is_secure()
    ):
        return redirect_to_login(page)
    return redirect(settings.LOGIN_URL)  # and from there to LOGIN_REDIRECT_URL


def for_members(
    *roles: Role,
) -> Callable[
    [Callable[Concatenate[Member, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, str, P], HttpResponseBase],
]:
    """Decorate a view `(member, …)` of the URL `…/<slug:slug>/…`.

    Signed-out people are sent to sign in; then the rules of `load_membership` hold.
    No roles named: every member may enter. Times are shown in their time zone. What
    an admin's form changes is noted under their name.
    """
    allowed = frozenset(roles) or EVERYBODY

    def decorate(
        view: Callable[Concatenate[Member, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]:
        @wraps(view)
        def entered(
            request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            signed_in = cast(SignedInRequest, request)
            membership = load_membership(signed_in.user, slug, allowed)
            with timezone.override(signed_in.user.zone), _noted(signed_in, membership):
                return view(Member(signed_in, membership), *args, **kwargs)

        return cast(
            Callable[Concatenate[HttpRequest, str, P], HttpResponseBase], entered
        )

    return decorate


def _noted(
    request: SignedInRequest, membership: Membership
) -> AbstractContextManager[None]:
    """Only where an admin may change something: see `annotation.changes.acting`."""
    if membership.role == Role.ADMIN and request.method not in ("GET", "HEAD"):
        return acting(request.user)
    return nullcontext()
