"""Who asks for work, and whether they are handed any."""

from typing import Any

from annotation.models import Membership, Qualification, Role
from annotation.prepared import instances
from annotation.queue_statements import ASKING


class NothingIsServed(Exception):  # noqa: N818 - reads as what happened
    """This member cannot be handed work here; the message says why."""


class TermsAwaitConsent(NothingIsServed):
    """They have not agreed to the newest terms."""


def keys_of(labeler: Membership) -> dict[str, Any]:
    return {"project": labeler.project_id, "labeler": labeler.pk}


def asking(membership: Membership) -> Any:
    """The membership as it is now, with the columns of ASKING besides."""
    [labeler] = instances(Membership, ASKING, keys_of(membership))
    labeler.project = membership.project
    return labeler


def check_served(labeler: Any) -> None:
    """Errors: NothingIsServed for a labeler of `asking` who is handed no work."""
    if labeler.role != Role.LABELER or labeler.user_id is None:
        raise NothingIsServed(f"Only labelers rank; {labeler.name} is none.")
    if labeler.in_an_archive:
        raise NothingIsServed(
            f"{labeler.project.title} is an archive: it takes imports only."
        )
    if labeler.project_closed_at is not None:
        raise NothingIsServed(
            f"{labeler.project.title} is archived: nothing more is handed out. What you"
            " have ranked is kept, and what you have open can still be submitted."
        )
    if labeler.paused_at is not None:
        raise NothingIsServed(
            "Your work in this project is paused. What you have ranked is kept; an"
            " admin of the project can let you go on."
        )
    if labeler.qualification == Qualification.FAILED:
        raise NothingIsServed(
            "You did not qualify for this project. What you have ranked is kept; an"
            " admin of the project can look at your test again."
        )
    if labeler.terms_await_consent:
        raise TermsAwaitConsent(
            "Before you rank, read the terms of this project and agree to them."
        )
