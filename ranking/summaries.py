"""The summary rows of prompts: kept by whoever stores rankings, summed by the pages."""

from collections.abc import Collection, Iterator
from typing import Any, Final

from django.db import connection, transaction
from psycopg.pq import Format

from annotation.models import Project
from ranking.filters import Filters
from ranking.models import Withdrawal
from ranking.summary_sql import LOCK, SUMMARIZE
from ranking.tallies import Tallies, read_tallies

PROMPTS_AT_ONCE: Final = 200  # of more, the planner would compare all with all
# Aggregates of one query see the rows in one order, so the strings fit together.
SUMS: Final = """
SELECT string_agg(int8send(summary.prompt_id), ''),
       string_agg(int2send(summary.k), ''),
       string_agg(int4send(summary.rankings), ''),
       string_agg(summary.judged, ''),
       string_agg(summary.compared, '')
FROM ranking_promptsummary summary
WHERE summary.project_id = %(project)s
  AND (%(k)s::int[] = '{}' OR summary.k = ANY(%(k)s))
  AND (%(tags)s::text[] = '{}' OR summary.prompt_id IN (
      SELECT prompt.id FROM annotation_prompt prompt
      WHERE prompt.project_id = %(project)s AND prompt.tags::text[] && %(tags)s))
  AND summary.rankings > 0
  AND NOT EXISTS (SELECT 1 FROM annotation_promptrejection rejection
                  WHERE rejection.prompt_id = summary.prompt_id)
"""


def summarize(prompt_id: int) -> None:
    """Make the row of this prompt anew. One statement.

    The prompt is locked since a statement before this one, by
    `annotation.closing.lock_for_answer`: of two who store rankings of one prompt, the
    second one's statement then sees the first one's.
    """
    with connection.cursor() as cursor:
        cursor.execute(SUMMARIZE, {"prompts": [prompt_id]})


def lock_and_summarize(prompts: Collection[int]) -> None:
    """The same for any prompts, in one transaction; for whatever changes the rankings
    that a prompt has without going through `submit`. Two statements for each 200:
    one locks them, and the next sees what was stored before.

    Comes last in its transaction: whoever ranks one of the prompts waits for its end.
    """
    with transaction.atomic():
        for some in _portions(sorted(prompts)):
            with connection.cursor() as cursor:
                cursor.execute(LOCK, {"prompts": some})
                cursor.execute(SUMMARIZE, {"prompts": some})


def _portions(prompts: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(prompts), PROMPTS_AT_ONCE):
        yield prompts[start : start + PROMPTS_AT_ONCE]


def withdrawn_labelers(project: Project) -> frozenset[int]:
    """The labelers whose rankings count for nothing now."""
    theirs = Withdrawal.objects.in_force().filter(labeler__project=project)
    return frozenset(theirs.values_list("labeler", flat=True))


def tallies_of(project: Project, filters: Filters) -> Tallies:
    """The sums behind the dashboards, of what `filters` leave. Two queries.

    Late and surplus rankings are in no summary, whatever the filters include: they
    count in no number of a dashboard.
    """
    keys: dict[str, Any] = {
        "project": project.pk,
        "k": sorted(filters.k),
        "tags": sorted(filters.tags),
    }
    with connection.cursor() as cursor:
        # As text, each byte would travel as two letters.
        cursor.cursor.format = Format.BINARY
        cursor.execute(SUMS, keys)
        columns = cursor.fetchone()
    return read_tallies(*(column or b"" for column in columns)).chosen(
        since=filters.since,
        until=filters.until,
        labelers=filters.labelers,
        without_labelers=filters.without_labelers | withdrawn_labelers(project),
        versions=filters.instructions_versions,
        pool=filters.pool,
    )
