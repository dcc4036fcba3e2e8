"""What labelers answered, and when, out of the summary rows."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from django.db import connection
from django.db.models.fields.json import KeyTransform
from psycopg.pq import Format

from annotation.models import Membership, Project
from ranking.answers import Answers
from ranking.filters import Filters
from ranking.models import Ranking
from ranking.quality import Rate
from ranking.rank_table import BoolArray
from ranking.summaries import withdrawn_labelers
from ranking.tallies import moment_of
from ranking.worked import RECORD, STATUSES, Worked, read_worked

# Aggregates of one query see the rows in one order, so the strings fit together.
WORKED: Final = f"""
SELECT string_agg(int8send(summary.prompt_id), ''),
       string_agg(int4send(octet_length(summary.worked) / {RECORD.itemsize}), ''),
       string_agg(decode(CASE WHEN {{wanted}} THEN '01' ELSE '00' END, 'hex'), ''),
       string_agg(summary.worked, ''),
       string_agg(summary.sizes, '')
FROM ranking_promptsummary summary
WHERE summary.project_id = %(project)s
"""  # noqa: S608  words of this file
OF_ONE: Final = """
  AND summary.prompt_id IN (SELECT assignment.prompt_id
                            FROM annotation_assignment assignment
                            WHERE assignment.labeler_id = %(labeler)s)
"""
NOT_TAKEN_OUT: Final = """
    NOT EXISTS (SELECT 1 FROM annotation_promptrejection rejection
                WHERE rejection.prompt_id = summary.prompt_id)
"""
OF_K: Final = "summary.k = ANY(%(k)s)"
TAGGED: Final = """
    summary.prompt_id IN (
        SELECT prompt.id FROM annotation_prompt prompt
        WHERE prompt.project_id = %(project)s AND prompt.tags::text[] && %(tags)s)
"""
CHECKED: Final = """
SELECT assignment.labeler_id, count(*),
       count(*) FILTER (WHERE ranking.submitted_at >= %(since)s),
       max(ranking.submitted_at)
FROM annotation_prompt prompt
JOIN annotation_assignment assignment ON assignment.prompt_id = prompt.id
JOIN ranking_ranking ranking ON ranking.assignment_id = assignment.id
WHERE prompt.project_id = %(project)s AND prompt.purpose <> 'work'
  AND NOT EXISTS (SELECT 1 FROM ranking_ranking later
                  WHERE later.revises_id = ranking.id)
GROUP BY assignment.labeler_id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """All that somebody ranked here, checks and repeats included; corrections are one
    with what they correct."""

    rankings: int = 0
    recent: int = 0  # since the moment that was asked for
    last_at: datetime | None = None

    @property
    def last_seconds(self) -> float | None:
        """`last_at` in seconds since 1970."""
        return None if self.last_at is None else self.last_at.timestamp()

    def __add__(self, other: "Activity") -> "Activity":
        moments = [at for at in (self.last_at, other.last_at) if at is not None]
        return Activity(
            rankings=self.rankings + other.rankings,
            recent=self.recent + other.recent,
            last_at=max(moments, default=None),
        )


def worked_of(
    project: Project, filters: Filters, *, labeler: int | None = None
) -> Worked:
    """Every current ranking of the project's work prompts, or of those that one labeler
    was handed; `wanted` where its prompt was not taken out and matches. One query."""
    wanted = [NOT_TAKEN_OUT]
    wanted += [OF_K] if filters.k else []
    wanted += [TAGGED] if filters.tags else []
    sql = WORKED.format(wanted=" AND ".join(wanted))
    keys: dict[str, Any] = {
        "project": project.pk,
        "k": sorted(filters.k),
        "tags": sorted(filters.tags),
        "labeler": labeler,
    }
    with connection.cursor() as cursor:
        # As text, each byte would travel as two letters.
        cursor.cursor.format = Format.BINARY
        cursor.execute(sql if labeler is None else sql + OF_ONE, keys)
        columns = cursor.fetchone()
    return read_worked(*(column or b"" for column in columns))


def latest_and_beside(
    project: Project,
    worked: Worked,
    filters: Filters,
    *,
    most: int,
    even_of: int | None = None,
) -> tuple[Worked, Worked]:
    """Of each labeler the latest `most` rankings that count and match, repeats among
    them; and all that stands beside these, whatever the filters. One query.

    Of withdrawn labelers nothing counts, except for `even_of`, one of them.
    """
    withdrawn = withdrawn_labelers(project)
    own = matching(worked, filters, withdrawn - {even_of})
    latest = worked.latest(most, among=own)
    beside = _counting(worked, withdrawn) & np.isin(worked.prompt, latest.prompt)
    return latest, worked.only(beside)


def matching(worked: Worked, filters: Filters, without: Iterable[int]) -> BoolArray:
    """What `rankings_that_count` leaves, with repeats; `without` are the labelers whose
    work is withdrawn."""
    statuses = [STATUSES.index(status) for status in ("counted", *filters.include)]
    rows = worked.wanted & np.isin(worked.status, statuses)
    if filters.since is not None:
        rows &= worked.submitted >= moment_of(filters.since)
    if filters.until is not None:
        rows &= worked.submitted < moment_of(filters.until)
    if filters.labelers:
        rows &= np.isin(worked.labeler, list(filters.labelers))
    if filters.instructions_versions:
        rows &= np.isin(worked.version, list(filters.instructions_versions))
    if filters.pool != "all":
        rows &= worked.targeted == (filters.pool == "targeted")
    return rows & ~np.isin(worked.labeler, [*filters.without_labelers, *without])


def _counting(worked: Worked, withdrawn: Collection[int]) -> BoolArray:
    """The rankings that measure how far people agree: counted, no repeat, of the
    random pool."""
    rows = (worked.status == 0) & (worked.repeat == 0) & ~worked.targeted
    counted: BoolArray = rows & ~np.isin(worked.labeler, list(withdrawn))
    return counted


def activities(
    project: Project, worked: Worked, *, since: datetime
) -> Mapping[int, Activity]:
    """By membership, of all that everybody ranked. One query, for the checks; the rest
    is `worked`, whichever of it is wanted."""
    found = _working(worked, since)
    with connection.cursor() as cursor:
        cursor.execute(CHECKED, {"project": project.pk, "since": since})
        for labeler, rankings, recent, last_at in cursor.fetchall():
            checked = Activity(rankings=rankings, recent=recent, last_at=last_at)
            found[labeler] = found.get(labeler, Activity()) + checked
    return found


def _working(worked: Worked, since: datetime) -> dict[int, Activity]:
    order = np.argsort(worked.labeler, kind="stable")
    labelers, starts = np.unique(worked.labeler[order], return_index=True)
    submitted = worked.submitted[order]
    recent = (submitted >= moment_of(since)).astype(np.int64)
    ends = np.append(starts[1:], len(order))
    columns = (
        ends - starts,
        np.add.reduceat(recent, starts) if len(starts) else recent,
        np.maximum.reduceat(submitted, starts) if len(starts) else submitted,
    )
    return {
        labeler: Activity(rankings=n, recent=some, last_at=at.replace(tzinfo=UTC))
        for labeler, n, some, at in zip(
            labelers.tolist(), *(column.tolist() for column in columns), strict=True
        )
    }


def unread_rate(labeler: Membership, answers: Answers) -> Rate:
    """Of these rankings of theirs whose pages measured it: how many left a response
    unopened, on the first page and on those of all corrections. One query."""
    pages = (
        Ranking.objects.filter(assignment__labeler=labeler)
        .annotate(unread=KeyTransform("unread", "telemetry"))
        .exclude(unread=None)
        .values_list("assignment__prompt", "assignment__repeat", "unread")
    )
    left: dict[tuple[int, int], set[str]] = {}
    for prompt, repeat, unread in pages:
        left.setdefault((prompt, repeat), set(unread)).intersection_update(unread)
    asked = zip(answers.prompt.tolist(), answers.repeat.tolist(), strict=True)
    measured = [left[one] for one in asked if one in left]
    return Rate(sum(map(bool, measured)), len(measured))
