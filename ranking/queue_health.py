"""How the work of a project stands: slots, prompts, days, and what is stuck."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.db import connection

from annotation.models import Project
from ranking.forecast import DAYS

# What is done is most of a project's rows, so they are grouped with as little as will
# do; what waits or is held is found by partial indexes. Only what is done has an end.
SLOTS: Final = """
SELECT everything.slots - waiting.open - taken.held - taken.ahead,
       waiting.open, taken.held, taken.ahead, taken.lapsed,
       everything.prompts, everything.finished, everything.first_done,
       (SELECT min(prompt.created_at) FROM annotation_prompt prompt
        WHERE prompt.id IN (SELECT prompt_id FROM annotation_assignment
                            WHERE project_id = %(project)s AND state = 'open'))
FROM (SELECT coalesce(sum(slots), 0) AS slots, count(*) AS prompts,
             count(*) FILTER (WHERE finished) AS finished,
             min(first_done) AS first_done
      FROM (SELECT count(*) AS slots, bool_and(state = 'completed') AS finished,
                   min(closed_at) AS first_done
            FROM annotation_assignment
            WHERE project_id = %(project)s AND source = 'queue'
              AND state IN ('open', 'prefetched', 'claimed', 'completed')
            GROUP BY prompt_id) AS by_prompt) AS everything,
     (SELECT count(*) AS open FROM annotation_assignment
      WHERE project_id = %(project)s AND source = 'queue'
        AND state = 'open') AS waiting,
     (SELECT count(*) FILTER (WHERE state = 'claimed') AS held,
             count(*) FILTER (WHERE state = 'prefetched') AS ahead,
             count(*) FILTER (WHERE lease_until < now()) AS lapsed
      FROM annotation_assignment
      WHERE project_id = %(project)s AND source = 'queue'
        AND state IN ('prefetched', 'claimed')) AS taken
"""
FINISHED: Final = """
SELECT (closed_at AT TIME ZONE 'UTC')::date, count(*)
FROM annotation_assignment
WHERE project_id = %(project)s AND source = 'queue' AND state = 'completed'
  AND closed_at >= %(since)s
GROUP BY 1
"""
REST: Final = """
SELECT (SELECT count(*) FROM annotation_promptrejection rejection
        JOIN annotation_prompt prompt ON prompt.id = rejection.prompt_id
        WHERE prompt.project_id = %(project)s),
       (SELECT count(*) FROM annotation_problemreport
        WHERE project_id = %(project)s AND closed_at IS NULL),
       count(*) FILTER (WHERE paused_at IS NULL AND qualification <> 'failed'),
       count(*) FILTER (WHERE paused_at IS NOT NULL),
       count(*) FILTER (WHERE paused_at IS NULL AND qualification = 'pending'
                        AND project.qualification_threshold IS NOT NULL)
FROM annotation_membership
JOIN annotation_project project ON project.id = project_id
WHERE project_id = %(project)s AND role = 'labeler' AND user_id IS NOT NULL
"""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Slots and prompts of the queue, now."""

    done: int
    open: int
    held: int
    ahead: int  # loaded ahead, not seen yet
    lapsed: int  # of those held or loaded ahead: the lease is over
    prompts: int
    prompts_done: int
    oldest_open: datetime | None  # when the prompt was brought in
    rejected: int
    reports: int  # not seen to yet
    labelers: int  # neither paused nor failed in the test
    paused: int
    pending: int  # of them, those whom only the test's outcome lets in
    first_done: datetime | None

    @property
    def slots(self) -> int:
        """All of them."""
        return self.done + self.left

    @property
    def left(self) -> int:
        """Those without an answer."""
        return self.open + self.held + self.ahead

    @property
    def share(self) -> float | None:
        """Of the slots, those done; None without slots."""
        return self.done / self.slots if self.slots else None


def work_of(project: Project) -> Work:
    """Two queries."""
    slots = _one(SLOTS, project)
    done, opened, held, ahead, lapsed, prompts, finished, first, oldest = slots
    rejected, reports, labelers, paused, pending = _one(REST, project)
    return Work(
        done=int(done),
        open=int(opened),
        held=int(held),
        ahead=int(ahead),
        lapsed=int(lapsed),
        prompts=prompts,
        prompts_done=finished,
        oldest_open=oldest,
        rejected=rejected,
        reports=reports,
        labelers=labelers,
        paused=paused,
        pending=pending,
        first_done=first,
    )


def done_by_day(project: Project, work: Work, *, today: date) -> Sequence[int]:
    """Slots filled on each of the last four weeks' days before today, oldest first,
    from the day on which the first one was. One query."""
    if work.first_done is None:
        return []
    began = work.first_done.astimezone(UTC).date()
    first = max(today - timedelta(days=DAYS), began)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute(FINISHED, {"project": project.pk, "since": since})
        counts = dict(cursor.fetchall())
    days = (today - first).days
    return [counts.get(first + timedelta(days=day), 0) for day in range(days)]


def _one(sql: str, project: Project) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"project": project.pk})
        return cursor.fetchone()
