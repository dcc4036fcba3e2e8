"""Rankings made elsewhere, imported beside those of the queue."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.db.models.functions import Now

from annotation.copying import copy_rows
from annotation.import_report import ImportReport, batches, checked_lines
from annotation.importing import ImportMode, import_file
from annotation.json_fields import check_covers
from annotation.jsonl import Line, LineReader, Progress
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Response,
    Role,
)
from annotation.strict_json import Refused
from ranking.models import Placement, Ranking, RankingStatus
from ranking.ranking_lines import FIELDS, Key, RankingLine, check_ranking
from ranking.summaries import lock_and_summarize


def import_rankings(
    project: Project,
    file: BinaryIO,
    *,
    mode: ImportMode = ImportMode.WHOLE,
    progress: Progress | None = None,
    most_bytes: int | None = None,
) -> ImportReport:
    """Import the rankings file (JSONL, plain or gzipped) into the project.

    A line's key is its id, else (prompt_id, labeler). The same order under a known
    key is `unchanged`, whatever numbers it is written in; another order is the error
    `conflict`. Each new ranking brings a completed assignment of its own and takes no
    slot of the queue; a labeler's second one of a prompt, under another key, is a
    repeat. A refused line leaves its key free for a later one. Labelers become
    members without an account.

    Raises UnreadableFile for a file that is broken as a whole; nothing is written.
    """
    lines = LineReader(file, progress, most_bytes=most_bytes)
    return import_file(project, lines, mode, RankingIntake(project))


StoredOrder = tuple[str, str, dict[str, int]]
"""Prompt id, labeler, dense ranks by response id."""


@dataclass(frozen=True, slots=True)
class NewRanking:
    """A line that is to be stored, with the rows it speaks of."""

    line: RankingLine
    prompt: int
    responses: dict[str, int]  # pk by id


class RankingIntake:
    """Lines of the rankings file."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._ranked: set[int] = set()  # prompts, since the last commit

    def verdicts(
        self, lines: Iterable[Line], report: ImportReport
    ) -> Iterator[list[NewRanking]]:
        """The new rankings of the file. Six queries a batch."""
        seen: set[Key] = set()  # of the lines that were not refused
        for batch in batches(checked_lines(lines, report, FIELDS, check_ranking)):
            yield self._new(batch, seen, report)

    def _new(
        self,
        batch: list[tuple[Line, RankingLine]],
        seen: set[Key],
        report: ImportReport,
    ) -> list[NewRanking]:
        stored = Stored(self._project, [ranking for _, ranking in batch])
        new = []
        for line, ranking in batch:
            try:
                _check_unseen(ranking, seen)
                found = stored.find(ranking)
            except Refused as error:
                report.refuse(line, error)
                continue
            seen.add(ranking.key)
            if found is None:
                report.unchanged += 1
            else:
                report.take(line)
                new.append(found)
        return new

    def write(self, rows: list[NewRanking]) -> None:
        """Store them, each with an assignment of its own."""
        store_rankings(self._project, rows)
        self._ranked.update(ranking.prompt for ranking in rows)

    def settle(self, report: ImportReport) -> None:
        """Count the prompts anew. Last, for labelers who submit to one of them wait
        from here on."""
        lock_and_summarize(self._ranked)
        self._ranked.clear()


def _check_unseen(line: RankingLine, seen: Collection[Key]) -> None:
    if line.key in seen:
        raise Refused("duplicate_ranking", f"{_named(line)} stands above already")


class Stored:
    """What the database holds of the prompts and rankings that a batch speaks of."""

    def __init__(self, project: Project, batch: list[RankingLine]) -> None:
        self._prompts = dict(
            Prompt.objects.filter(
                project=project, external_id__in={line.prompt_id for line in batch}
            ).values_list("external_id", "pk")
        )
        self._responses: dict[int, dict[str, int]] = {}
        for prompt, external_id, pk in Response.objects.filter(
            prompt__in=self._prompts.values()
        ).values_list("prompt", "external_id", "pk"):
            self._responses.setdefault(prompt, {})[external_id] = pk
        self._rankings = stored_orders(project, batch)

    def find(self, line: RankingLine) -> NewRanking | None:
        """The line's rows if it is new, None if it is unchanged. Raises Refused."""
        prompt = self._prompts.get(line.prompt_id)
        if prompt is None:
            raise Refused(
                "unknown_prompt", f"the project has no prompt {line.prompt_id[:50]!r}"
            )
        responses = self._responses.get(prompt, {})
        check_covers(line.raw_ranks, responses, "ranks")
        stored = self._rankings.get(line.key)
        if stored is None:
            return NewRanking(line, prompt, responses)
        if stored != (line.prompt_id, line.labeler, line.ranks):
            raise Refused(
                "conflict",
                f"{_named(line)} is stored with another order, prompt or labeler;"
                " stored rankings never change",
            )
        return None


def stored_orders(
    project: Project, lines: Collection[RankingLine]
) -> dict[Key, StoredOrder]:
    """What is stored under the keys of these lines. Five queries.

    Each is about rows whose keys are known by then. In the middle of a large import
    nobody has counted its tables yet, and Postgres may join them in the slowest way.
    """
    imported = Ranking.objects.current().filter(
        project=project, assignment__source=AssignmentSource.IMPORTED
    )
    by_id = imported.filter(external_id__in={line.id for line in lines if line.id})
    prompts = Prompt.objects.filter(
        project=project,
        external_id__in={line.prompt_id for line in lines if not line.id},
    )
    by_pair = imported.filter(
        assignment__prompt__in=list(prompts.values_list("pk", flat=True)),
        external_id=None,
    )
    return {
        external_id or (prompt_id, labeler): (prompt_id, labeler, ranks)
        for external_id, prompt_id, labeler, ranks in (*_rows(by_id), *_rows(by_pair))
    }


def _rows(rankings: Any) -> Iterator[tuple[str | None, str, str, dict[str, int]]]:
    """(id or None, prompt id, labeler, dense ranks by response id). Two queries."""
    found = list(
        rankings.values_list(
            "pk",
            "external_id",
            "assignment__prompt__external_id",
            "assignment__labeler__name",
        )
    )
    ranks: dict[int, dict[str, int]] = {pk: {} for pk, *_ in found}
    for ranking, response, rank in Placement.objects.filter(
        ranking__in=list(ranks)
    ).values_list("ranking", "response__external_id", "rank"):
        ranks[ranking][response] = rank
    for pk, *row in found:
        yield (*row, ranks[pk])


def _named(line: RankingLine) -> str:
    if line.id is not None:
        return f"the ranking {line.id!r}"
    return f"the ranking of {line.prompt_id!r} by {line.labeler!r}"


# --- Writing ----------------------------------------------------------------------


def store_rankings(project: Project, new: list[NewRanking]) -> None:
    """Store rankings made elsewhere, each with a completed assignment of its own."""
    labelers = _labelers(project, {ranking.line.labeler for ranking in new})
    rankings = Ranking.objects.bulk_create(
        _ranking(project, ranking.line, assignment)
        for ranking, assignment in zip(
            new, _assignments(project, new, labelers), strict=True
        )
    )
    # Up to nine for each ranking: as objects they would cost more than all the rest.
    copy_rows(
        Placement,
        ("ranking_id", "response_id", "rank", "raw_rank"),
        (
            (stored.pk, ranking.responses[response], rank, raw[response])
            for stored, ranking in zip(rankings, new, strict=True)
            for raw in [ranking.line.raw_ranks]
            for response, rank in ranking.line.ranks.items()
        ),
    )


def _labelers(project: Project, names: set[str]) -> dict[str, int]:
    """Members without an account, by name; missing ones are made.

    Two imports cannot make one twice: imported_labeler_names_differ_within_a_project.
    """
    Membership.objects.bulk_create(
        (
            Membership(project=project, name=name, role=Role.LABELER)
            for name in sorted(names)
        ),
        ignore_conflicts=True,
    )
    stored = Membership.objects.filter(
        project=project, user__isnull=True, name__in=names
    )
    return dict(stored.values_list("name", "pk"))


def _assignments(
    project: Project, new: list[NewRanking], labelers: dict[str, int]
) -> list[Assignment]:
    """A completed assignment for each ranking. Its slot is not one of the queue's."""
    repeats = Counter(
        Assignment.objects.filter(
            prompt__in={ranking.prompt for ranking in new},
            labeler__in=labelers.values(),
        ).values_list("prompt", "labeler")
    )
    assignments = []
    for ranking in new:
        pair = (ranking.prompt, labelers[ranking.line.labeler])
        assignments.append(
            Assignment(
                project=project,
                prompt_id=ranking.prompt,
                labeler_id=pair[1],
                slot=0,
                repeat=repeats[pair],
                source=AssignmentSource.IMPORTED,
                state=AssignmentState.COMPLETED,
                closed_at=Now(),
            )
        )
        repeats[pair] += 1
    return Assignment.objects.bulk_create(assignments)


def _ranking(project: Project, line: RankingLine, assignment: Assignment) -> Ranking:
    ranking = Ranking(
        project=project,
        assignment=assignment,
        status=RankingStatus.COUNTED,
        submission_uuid=uuid.uuid4(),
        body_sha256=line.sha256,
        external_id=line.id,
        active_seconds=line.seconds,
    )
    if line.submitted_at is not None:
        ranking.submitted_at = line.submitted_at
    return ranking
