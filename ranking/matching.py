"""How much matches a choice of rankings: what a dataset frozen now would hold."""

from typing import Final, NamedTuple

from django.db import connection

from annotation.models import Project
from ranking.filters import Filters, rankings_that_count


class Matching(NamedTuple):
    """Counts of rankings that count and match. Pairs: of two responses a ranking."""

    rankings: int
    prompts: int
    labelers: int
    strict_pairs: int
    ties: int


# A ranking's tiers as one number, four bits a tier: K is at most 9. There are 511 such
# numbers, however many rankings there are, so one look at each placement is enough.
SIZES: Final = """
WITH chosen (id, prompt_id, labeler_id) AS MATERIALIZED ({chosen}), tiered AS (
    SELECT sum(1::bigint << (4 * rank - 4))::bigint AS tiers FROM ranking_placement
    WHERE ranking_id IN (SELECT id FROM chosen) GROUP BY ranking_id
), kinds AS (
    SELECT tiers, count(*) AS rankings FROM tiered GROUP BY tiers
), sized AS (
    SELECT rankings, sum(size) AS k, sum(size * (size - 1) / 2) AS ties
    FROM kinds CROSS JOIN LATERAL (
        SELECT (tiers >> place) & 15 AS size FROM generate_series(0, 32, 4) place
    ) each_tier GROUP BY tiers, rankings
)
SELECT (SELECT count(*) FROM chosen),
    (SELECT count(DISTINCT prompt_id) FROM chosen),
    (SELECT count(DISTINCT labeler_id) FROM chosen),
    coalesce(sum(rankings * (k * (k - 1) / 2 - ties)), 0)::bigint,
    coalesce(sum(rankings * ties), 0)::bigint
FROM sized"""


def matching(project: Project, filters: Filters) -> Matching:
    """What matches at this moment: one statement.

    A dataset may hold less: prompts that would join two splits are left out of it.
    """
    rows = rankings_that_count(project, filters).values_list(
        "pk", "assignment__prompt", "assignment__labeler"
    )
    chosen, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(SIZES.format(chosen=chosen), parameters)
        return Matching(*cursor.fetchone())
