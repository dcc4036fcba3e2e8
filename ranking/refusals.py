"""Why a ranking was not stored, in one shape for the page and for programs."""

from dataclasses import dataclass, field
from http import HTTPStatus

from ranking.ratings import WrongAnswerError, listed
from ranking.submit import BusyError, ConflictError
from ranking.weak_order import IncompleteRanking

# What `submit` raises for a ranking that its labeler can mend or send again.
RefusedError = IncompleteRanking | WrongAnswerError | ConflictError | BusyError
REFUSED = (IncompleteRanking, WrongAnswerError, ConflictError, BusyError)
RETRY_AFTER = 3  # seconds


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What happened, what was kept and what to do, as a sentence and in parts.

    `missing` holds the letters that lack a rank or a rating, `unknown` what is no
    letter of the page, `stored` the order that stands in a conflict.
    """

    status: HTTPStatus
    message: str
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)
    may_replace: bool = False


def refusal_of(error: RefusedError) -> Refusal:
    """What to tell somebody whose ranking was not stored."""
    if isinstance(error, ConflictError):
        return _conflict(error)
    if isinstance(error, BusyError):
        return Refusal(
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            message=f"{error} Submit again in a moment.",
        )
    if isinstance(error, IncompleteRanking):
        return _incomplete(error)
    return Refusal(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        message=f"Not submitted: {error}",
        missing=error.missing,
        unknown=error.unknown,
    )


def _conflict(error: ConflictError) -> Refusal:
    what_now = (
        "It is kept. Submit again to replace it with this one."
        if error.may_replace
        else "It stands; what you sent now is kept beside it. If it should count,"
        " tell an admin of the project."
    )
    return Refusal(
        status=HTTPStatus.CONFLICT,
        message=f"{error} {what_now}",
        stored=error.stored,
        may_replace=error.may_replace,
    )


def _incomplete(error: IncompleteRanking) -> Refusal:
    """In the page's letters."""
    missing, unknown = list(map(str, error.missing)), list(map(str, error.unknown))
    said = []
    if missing:
        said.append(
            f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} unranked."
        )
    if unknown:
        said.append(f"This page has no response {', '.join(unknown)}.")
    return Refusal(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        message=f"Not submitted: {' '.join(said)}",
        missing=missing,
        unknown=unknown,
    )
