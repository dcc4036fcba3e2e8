"""The only write path of a ranking that a labeler makes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q
from psycopg.errors import LockNotAvailable

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentSource,
    Membership,
    Purpose,
    Response,
)
from annotation.prepared import Given, Prepared
from annotation.queue import SlotAfter
from annotation.shown import as_shown
from ranking import entry
from ranking.asked import asked
from ranking.desk import labeler_of
from ranking.history import why_closed
from ranking.models import (
    Ranking,
    RankingStatus,
    RefusedSubmission,
    RenderMode,
)
from ranking.placements import insert
from ranking.ratings import check_flags, check_note, check_ratings, contradictions
from ranking.summaries import summarize
from ranking.weak_order import check_complete, dense_ranks
from ranking.withdrawal import is_withdrawn, responses_with_withdrawal

STATUS = {
    SlotAfter.FILLED: RankingStatus.COUNTED,
    SlotAfter.TAKEN: RankingStatus.LATE,
    SlotAfter.FULL: RankingStatus.SURPLUS,
}
# Under the same key, or of the same assignment; each revises the one before it.
_STORED = Prepared(
    lambda: Ranking.objects.filter(
        Q(assignment=Given("assignment")) | Q(submission_uuid=Given("uuid"))
    ).order_by("pk")
)
LONGEST_REASON = 200  # characters
SAME_KEY = "This submission was used for another ranking already."
ALREADY_RANKED = "You have already submitted another ranking of this prompt."


def tidy_note(text: str) -> str:
    """A note as it is stored: lines end in LF (forms send CR LF), no space around."""
    return text.replace("\r\n", "\n").strip()


class ConflictError(Exception):
    """Another ranking is stored already and stays; the refused one is kept beside it.

    The message says which case it is. `stored` is the order that stands (letter →
    rank; empty when the prompt has none yet), and `may_replace` says whether the same
    submission under a new key and with `replace` would revise it.
    """

    def __init__(
        self, message: str, *, stored: Mapping[str, int], may_replace: bool
    ) -> None:
        self.stored = dict(stored)
        self.may_replace = may_replace
        super().__init__(message)


class BusyError(Exception):
    """A lock could not be had in time. Nothing was stored; try again."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A ranking as a labeler sends it: letters of the page, ranks with 1 as best.

    `uuid` is made when the page is rendered and names this one act of submitting.
    `ratings` go from 1 to 7, 7 is best. `replace` says that an earlier ranking of the
    same prompt is meant to be revised. `telemetry` is as `measurements` gives it.
    `sealed` is what the page asked for, by `ranking.asked`.
    """

    uuid: UUID
    ranks: Mapping[str, int]
    ratings: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""
    render_mode: RenderMode | None = None
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    replace: bool = False
    sealed: str = ""

    @property
    def active_seconds(self) -> float | None:
        """Time spent at work on it, as the page measured; None if it did not."""
        milliseconds = self.telemetry.get("active_ms")
        return None if milliseconds is None else milliseconds / 1000

    @property
    def said(self) -> dict[str, Any]:
        """What the labeler judges: not gaps between tiers, clocks, or what is empty."""
        return {
            "ranks": dense_ranks(self.ranks) if self.ranks else {},
            "ratings": dict(self.ratings),
            "flags": {
                letter: sorted(set(names))
                for letter, names in self.flags.items()
                if names
            },
            "note": self.note,
        }

    def body_sha256(self, token: str) -> str:
        """Hash of what is said about which assignment."""
        said = {"assignment": token, **self.said}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What was stored. `replayed`: it had been stored before, nothing changed now."""

    ranking: Ranking
    replayed: bool = False

    @property
    def status(self) -> RankingStatus:
        """Whether it counts."""
        return RankingStatus(self.ranking.status)


def submit(*, membership: Membership, token: str, submission: Submission) -> Submitted:
    """Store a labeler's ranking of the prompt they were handed, all or nothing.

    1. Lock the assignment and its prompt, so that submissions of one assignment come
       one by one, and so do those of one prompt.
    2. What is stored already under this key with the same body, or as the current
       ranking with the same body, comes back: a replay, whatever else has changed.
    3. Refuse what does not rank exactly the responses shown, lacks a rating where its
       page asked for them, or uses flags that were not offered.
    4. The same key with another body, a second ranking without `replace`, and a
       revision after the time for it are conflicts: what is stored stays, and what
       was refused is kept too, once. The key is unique in the database as well
       (ranking_ranking_submission_uuid_key).
    5. Close the assignment, which says whether the ranking counts; a late one is
       kept and marked. A withdrawal of the labeler's work locks the assignment too, so
       it sees this answer, or this answer sees it.
    6. Insert the ranking and its placements, drop the draft, and make the prompt's
       summary anew under its lock, which step 1 took; at commit a trigger checks that
       every response is placed exactly once.

    Errors: Assignment.DoesNotExist for somebody else's token; IncompleteRanking with
    the letters that are missing or unknown; WrongAnswerError; ConflictError;
    BusyError when a lock is not had within the `lock_timeout` of the connection.
    """
    try:
        outcome = _attempt(membership, token, submission)
    except IntegrityError as error:
        if "submission_uuid" not in str(error):
            raise
        # The key went to another prompt at this very moment; now it can be seen.
        outcome = _attempt(membership, token, submission)
    if isinstance(outcome, ConflictError):
        raise outcome
    return outcome


def _attempt(
    membership: Membership, token: str, submission: Submission
) -> Submitted | ConflictError:
    """One transaction. A conflict is given back, for what it keeps must be stored."""
    try:
        with transaction.atomic(durable=True):
            entry.wait_for_claims(membership)
            assignment = queue.lock_for_answer(membership=membership, token=token)
            assignment.labeler = membership  # with its project: no query for it
            return _store(assignment, submission)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise BusyError("The ranking could not be stored just now.") from error
        raise


def _store(assignment: Assignment, submission: Submission) -> Submitted | ConflictError:
    body = submission.body_sha256(assignment.token)
    found = _STORED.run(assignment=assignment.pk, uuid=submission.uuid)
    history = [one for one in found if one.assignment_id == assignment.pk]
    stored = _stored_already(history, submission, body)
    if stored is not None:
        return Submitted(ranking=stored, replayed=True)
    shown = as_shown(assignment, responses_with_withdrawal(assignment))
    _check(assignment, submission, shown)
    conflict = _conflict(submission, found, assignment, shown)
    if conflict is not None:
        _keep_refused(assignment, submission, str(conflict))
        return conflict
    return _insert(assignment, submission, shown, revises=history[-1:])


def _stored_already(
    history: list[Ranking], submission: Submission, body: str
) -> Ranking | None:
    """The ranking that this submission repeats; None if it says something new.

    By its key any of them, else the current one: each revises the newest before it.
    """
    for ranking in history:
        if ranking.submission_uuid == submission.uuid and ranking.body_sha256 == body:
            return ranking
    return history[-1] if history and history[-1].body_sha256 == body else None


def _check(
    assignment: Assignment, submission: Submission, shown: Mapping[str, Response]
) -> None:
    project = labeler_of(assignment).project
    wanted = asked(project, assignment.token, submission.sealed)
    check_complete(submission.ranks, shown)
    check_ratings(submission.ratings, shown, required=wanted.ratings)
    check_flags(submission.flags, shown, wanted.flags)
    check_note(submission.note)


def _conflict(
    submission: Submission,
    found: list[Ranking],
    assignment: Assignment,
    shown: Mapping[str, Response],
) -> ConflictError | None:
    """Why a complete ranking that is new cannot stand beside those that were found."""
    history = [one for one in found if one.assignment_id == assignment.pk]
    used = any(one.submission_uuid == submission.uuid for one in found)
    closed = why_closed(assignment) if history else None
    if not used and (not history or (submission.replace and closed is None)):
        return None
    message = SAME_KEY if used else ALREADY_RANKED
    return ConflictError(
        f"{message} {closed}" if closed else message,
        stored=ranks_by_letter(history[-1], shown) if history else {},
        may_replace=closed is None,
    )


def ranks_by_letter(ranking: Ranking, shown: Mapping[str, Response]) -> dict[str, int]:
    """A stored order in the letters of its labeler's page. One query."""
    ranks = dict(ranking.placements.values_list("response_id", "rank"))
    return {letter: ranks[response.pk] for letter, response in shown.items()}


def _keep_refused(assignment: Assignment, submission: Submission, reason: str) -> None:
    """Keep what was refused; once, however often a page sends it again."""
    kept: dict[str, Any] = {
        "assignment": assignment,
        "submission_uuid": submission.uuid,
        "content": {
            **submission.said,
            "replace": submission.replace,
            "telemetry": dict(submission.telemetry),
        },
    }
    if not RefusedSubmission.objects.filter(**kept).exists():
        RefusedSubmission.objects.create(**kept, reason=reason[:LONGEST_REASON])


def _insert(
    assignment: Assignment,
    submission: Submission,
    shown: Mapping[str, Response],
    *,
    revises: list[Ranking],
) -> Submitted:
    ranking = Ranking(
        project_id=assignment.project_id,
        assignment=assignment,
        revises=revises[0] if revises else None,
        status=_status(assignment, shown, revises),
        submission_uuid=submission.uuid,
        body_sha256=submission.body_sha256(assignment.token),
        instructions_id=assignment.instructions_id,
        active_seconds=submission.active_seconds,
        note=submission.note,
        render_mode=submission.render_mode,
        contradictions=contradictions(submission.ratings, submission.ranks),
        telemetry=dict(submission.telemetry),
    )
    insert(ranking, submission.said, shown)
    if assignment.prompt.purpose == Purpose.WORK:
        summarize(assignment.prompt_id)
    entry.answered(ranking)
    return Submitted(ranking=ranking)


def _status(
    assignment: Assignment, shown: Mapping[str, Response], revises: list[Ranking]
) -> RankingStatus:
    """Close the assignment; whether the ranking counts.

    Not if the labeler's work has been withdrawn: then it takes no slot, and one that
    they still hold goes to others. A correction is worth what it corrects.
    """
    of_the_queue = assignment.source == AssignmentSource.QUEUE
    if not of_the_queue or not is_withdrawn(shown.values()):
        return STATUS[queue.complete(assignment)]
    queue.take_back(assignment)
    return RankingStatus(revises[0].status) if revises else RankingStatus.SURPLUS
