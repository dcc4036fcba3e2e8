"""Who belongs to a project, and as what, from now on."""

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from annotation import queue
from annotation.accounts import account_of, end_access, end_sign_in_links
from annotation.models import Assignment, Membership, Project, Role, User


def let_in(project: Project, *, email: str, name: str, role: str) -> tuple[User, bool]:
    """Make somebody a member; with whether their account was made for it.

    Whoever was one before has their row again, and with it the work that they did.

    Errors: IntegrityError when they are a member already, or somebody else of the
    project has the name. The constraints decide, so two admins may do it at once.
    """
    with transaction.atomic():
        user, is_new = account_of(email)
        if not is_new:
            # Made when the account opened less than it will from now on.
            end_sign_in_links(user)
        left = Membership.objects.filter(
            project=project, user=user, revoked_at__isnull=False
        )
        if not left.update(revoked_at=None, name=name, role=role):
            Membership.objects.create(project=project, user=user, name=name, role=role)
    return user, is_new


def revoke(membership: Membership, *, by: Membership) -> None:
    """Close the project to a member. What they have ranked stays and counts.

    Errors: as `_decide`.
    """
    _decide(membership, by=by, revoked_at=Now())


def change_role(membership: Membership, role: Role, *, by: Membership) -> None:
    """Give a member another role in the project.

    Errors: as `_decide`.
    """
    _decide(membership, by=by, role=role)


def _decide(membership: Membership, *, by: Membership, **change: object) -> None:
    """Change what a member may do, and end every session, link and token of theirs.

    1. The member and all admins are locked, in the order of their keys. So of two
       admins who remove each other the second one waits, and is no admin then: some
       admin is always left, since nobody decides about themselves.
    2. The change is committed together with the end of their sessions and tokens.
    3. Then others are handed what they hold; a claim that was under way at that moment
       leaves them one prompt, whose lease runs out.

    Not to be called inside a transaction. Errors: PermissionDenied when `by` is no
    admin of the project any more, or is the member; Membership.DoesNotExist when the
    member was removed meanwhile.
    """
    with transaction.atomic(durable=True):
        locked = _locked(membership)
        if by.pk == membership.pk or getattr(locked.get(by.pk), "role", "") != "admin":
            raise PermissionDenied("Another admin of the project can do that.")
        if membership.pk not in locked:
            raise Membership.DoesNotExist
        Membership.objects.filter(pk=membership.pk).update(**change)
        assert membership.user is not None
        end_access(membership.user)
    for held in Assignment.objects.filter(labeler=membership, state__in=queue.HELD):
        queue.take_back(held)


def _locked(membership: Membership) -> dict[int, Membership]:
    """The member and the project's admins, by key, as they are now."""
    rows = Membership.objects.select_for_update(no_key=True, of=("self",)).filter(
        Q(pk=membership.pk) | Q(role=Role.ADMIN),
        project=membership.project_id,
        user__isnull=False,
        revoked_at=None,
    )
    return {row.pk: row for row in rows.order_by("pk")}
