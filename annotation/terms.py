"""What labelers agree to before their first prompt.

Terms are versions, as instructions are: a change is a new one, and what somebody has
agreed to stays as it was. Nobody is handed work who has not agreed to the newest.
"""

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from annotation.models import Consent, Membership, Project, Role, Terms, User


class SupersededError(Exception):
    """A newer version came into force since the one that was read."""


@transaction.atomic
def write_terms(project: Project, *, text: str, user: User | None) -> Terms:
    """Add the next version; the text in force, written again, gives that version.

    1. The project's row is locked, so two admins write two versions one after the
       other (`terms_versions_are_numbered` has the last word).
    """
    Project.objects.select_for_update(no_key=True, of=("self",)).get(pk=project.pk)
    current = current_terms(project)
    if current is not None and current.text == text:
        return current
    return Terms.objects.create(
        project=project,
        version=current.version + 1 if current else 1,
        text=text,
        created_by=user,
    )


def current_terms(project: Project) -> Terms | None:
    """The newest version. One query."""
    return Terms.objects.filter(project=project).order_by("-version").first()


def terms_to_agree_to(membership: Membership) -> Terms | None:
    """The newest version, unless this member has agreed to it. One query."""
    given = Consent.objects.filter(membership=membership, terms=OuterRef("pk"))
    newest = (
        Terms.objects.filter(project=membership.project_id)
        .annotate(agreed=Exists(given))
        .order_by("-version")
        .first()
    )
    return None if newest is None or newest.agreed else newest


def agree(membership: Membership, *, version: int) -> Consent:
    """Agree to the version that was read; once more changes nothing.

    No lock: a consent names its version, so one that is given while a newer version
    is being written is a true consent to the older one, and the newer is asked for.

    Errors: Terms.DoesNotExist; SupersededError when a newer version is in force.
    """
    terms = Terms.objects.get(project=membership.project_id, version=version)
    newest = current_terms(membership.project)
    if newest is not None and newest.version > version:
        raise SupersededError(f"Version {newest.version} is in force by now.")
    consent, _ = Consent.objects.get_or_create(membership=membership, terms=terms)
    return consent


def consents_of(membership: Membership) -> QuerySet[Consent]:
    """What a member has agreed to, the newest version first."""
    given = Consent.objects.filter(membership=membership).select_related("terms")
    return given.order_by("-terms__version")


def newest_consents(project: Project) -> list[tuple[Membership, Consent | None]]:
    """Labelers by name, with the newest version each agreed to. Two queries."""
    given = (
        Consent.objects.filter(membership__project=project)
        .select_related("terms")
        .order_by("membership", "-terms__version")
        .distinct("membership")
    )
    of_member = {consent.membership_id: consent for consent in given}
    labelers = Membership.objects.with_account().filter(
        project=project, role=Role.LABELER
    )
    return [
        (labeler, of_member.get(labeler.pk)) for labeler in labelers.order_by("name")
    ]
