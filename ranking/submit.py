"""The only write path of a ranking that a labeler makes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from annotation import queue
from annotation.models import Assignment, Membership
from annotation.queue import SlotAfter
from annotation.shown import as_shown
from ranking import entry
from ranking.models import Placement, Ranking, RankingStatus
from ranking.weak_order import check_complete, dense_ranks

STATUS = {
    SlotAfter.FILLED: RankingStatus.COUNTED,
    SlotAfter.TAKEN: RankingStatus.LATE,
    SlotAfter.FULL: RankingStatus.SURPLUS,
}
LOCK_TIMEOUT = "3s"


class ConflictError(Exception):
    """Another ranking is stored already; it stays. The message says which case."""


class BusyError(Exception):
    """A lock could not be had in time. Nothing was stored; try again."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A ranking as a labeler sends it: letters of the page, ranks with 1 as best.

    `uuid` is made when the page is rendered and names this one act of submitting.
    `replace` says that an earlier ranking of the same prompt is meant to be revised.
    """

    uuid: UUID
    ranks: Mapping[str, int]
    telemetry: Mapping[str, int] = field(default_factory=dict)
    replace: bool = False

    @property
    def active_seconds(self) -> float | None:
        """Time spent at work on it, as the page measured; None if it did not."""
        milliseconds = self.telemetry.get("active_ms")
        return None if milliseconds is None else milliseconds / 1000

    def body_sha256(self, token: str) -> str:
        """Hash of what is said: the assignment and the order, not gaps or clocks."""
        said = {"assignment": token, "ranks": dense_ranks(self.ranks)}
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

    1. Lock the assignment, so that submissions of one assignment come one by one.
    2. Refuse what does not rank exactly the responses shown.
    3. The same key or the same order as stored is a replay: the stored row comes
       back. The same key with another order, or a second order without `replace`, is
       a conflict. The key is unique in the database too
       (ranking_ranking_submission_uuid_key).
    4. Close the assignment, which says whether the ranking counts; a late one is
       kept and marked.
    5. Insert the ranking and its placements; at commit a trigger checks that every
       response is placed exactly once.

    Errors: Assignment.DoesNotExist for somebody else's token; IncompleteRanking with
    the letters that are missing or unknown; ConflictError; BusyError after 3 s.
    """
    try:
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            entry.wait_for_claims(membership)
            assignment = queue.lock_for_answer(membership=membership, token=token)
            return _store(assignment, submission)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise BusyError("The ranking could not be stored just now.") from error
        raise
    except IntegrityError as error:
        if "submission_uuid" in str(error):
            raise ConflictError(SAME_KEY) from error
        raise


SAME_KEY = "This submission was used for another ranking already."
ALREADY_RANKED = "You have already submitted another ranking of this prompt."


def _store(assignment: Assignment, submission: Submission) -> Submitted:
    responses = assignment.prompt.responses.only("external_id", "prompt_id")
    shown = as_shown(assignment, responses)
    check_complete(submission.ranks, shown)
    body = submission.body_sha256(assignment.token)
    history = list(Ranking.objects.filter(assignment=assignment).order_by("pk"))
    stored = _stored_already(history, submission, body)
    if stored is not None:
        return Submitted(ranking=stored, replayed=True)
    ranking = Ranking.objects.create(
        project_id=assignment.project_id,
        assignment=assignment,
        revises=history[-1] if history else None,
        status=STATUS[queue.complete(assignment)],
        submission_uuid=submission.uuid,
        body_sha256=body,
        instructions_id=assignment.instructions_id,
        active_seconds=submission.active_seconds,
        telemetry=dict(submission.telemetry),
    )
    Placement.objects.bulk_create(
        Placement(ranking=ranking, response=shown[letter], rank=rank)
        for letter, rank in dense_ranks(submission.ranks).items()
    )
    entry.answered(ranking)
    return Submitted(ranking=ranking)


def _stored_already(
    history: list[Ranking], submission: Submission, body: str
) -> Ranking | None:
    """The ranking that this submission repeats; None if it says something new."""
    for ranking in history:
        if ranking.submission_uuid == submission.uuid:
            if ranking.body_sha256 != body:
                raise ConflictError(SAME_KEY)
            return ranking
    if not history:
        return None
    current = history[-1]  # each revision revises the newest before it
    if current.body_sha256 == body:
        return current
    if not submission.replace:
        raise ConflictError(ALREADY_RANKED)
    return None
