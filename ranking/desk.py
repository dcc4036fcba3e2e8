"""Which prompt lies on a labeler's desk: theirs by its token, in one query."""

from collections.abc import Callable
from datetime import datetime
from functools import cache, wraps
from typing import cast

from django.core.exceptions import PermissionDenied
from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils import timezone

from annotation.access import Member, SignedInRequest, load_membership, to_sign_in
from annotation.models import Assignment, Membership, Role, User
from annotation.prepared import Given, Prepared

NOT_THEIRS = "No such prompt of yours."
# What its page shows of an assignment, besides the responses.
PAGE = ("prompt", "instructions", "draft")


def own_assignment(user: User, token: str, *with_: str) -> Assignment:
    """The assignment that the token names, if it is this person's. One query.

    With it come the labeler (their membership) and the project, what `with_` names
    besides, and the database's time as `asked_at`.

    Errors: Http404 for a token that is not theirs; PermissionDenied when they label no
    more in that project.
    """
    assignment = _own_with(*with_).first(user=user.pk, token=token)
    if assignment is None:
        raise Http404(NOT_THEIRS)
    labeler = labeler_of(assignment)
    if labeler.role != Role.LABELER:
        raise PermissionDenied(f"This page is not for the role {labeler.role}.")
    assignment.project = labeler.project
    return assignment


@cache
def _own_with(*with_: str) -> Prepared[Assignment]:
    return Prepared(
        lambda: (
            Assignment.objects.filter(
                labeler__user=Given("user"),
                labeler__revoked_at=None,
                token=Given("token"),
            )
            .select_related("labeler__project", *with_)
            .annotate(asked_at=ExpressionWrapper(Now(), output_field=DateTimeField()))
        )
    )


def labeler_of(assignment: Assignment) -> Membership:
    """Whose it is. Raises ValueError for one that is nobody's."""
    if assignment.labeler is None:
        raise ValueError(f"assignment {assignment} is nobody's")
    return assignment.labeler


def seconds_left(assignment: Assignment) -> int:
    """Of the lease of one's own assignment; 0 once it is over."""
    if assignment.lease_until is None:
        return 0
    asked_at: datetime = vars(assignment)["asked_at"]
    return max(0, int((assignment.lease_until - asked_at).total_seconds()))


def for_its_labeler(
    *with_: str,
) -> Callable[
    [Callable[[Member, Assignment], HttpResponseBase]],
    Callable[[HttpRequest, str, str], HttpResponseBase],
]:
    """Decorate a view `(member, assignment)` of `…/<slug:slug>/…/<slug:token>/…`.

    As `for_members(Role.LABELER)`, time zone included, and the assignment of another is
    404; one query for all of it.
    """

    def decorate(
        view: Callable[[Member, Assignment], HttpResponseBase],
    ) -> Callable[[HttpRequest, str, str], HttpResponseBase]:
        @wraps(view)
        def entered(request: HttpRequest, slug: str, token: str) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            signed_in = cast(SignedInRequest, request)
            assignment = _in_project(signed_in.user, slug, token, with_)
            with timezone.override(signed_in.user.zone):
                return view(Member(signed_in, labeler_of(assignment)), assignment)

        return entered

    return decorate


def _in_project(
    user: User, slug: str, token: str, with_: tuple[str, ...]
) -> Assignment:
    """Who does not label in this project is told so, or that there is no such one."""
    try:
        assignment = own_assignment(user, token, *with_)
    except Http404:
        load_membership(user, slug, frozenset({Role.LABELER}))
        raise
    if assignment.project.slug != slug:
        load_membership(user, slug, frozenset({Role.LABELER}))
        raise Http404(NOT_THEIRS)
    return assignment
