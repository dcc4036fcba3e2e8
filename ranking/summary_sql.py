"""How a prompt's summary row is made from its rankings: one statement, from scratch.

What counts here is what `agreement.md`, section 2, lets count, as far as it is settled
when a ranking is stored: current (no later revision), counted, of a work prompt, not a
repeat. Whether the prompt was taken out since, and whose rankings are left out, is
asked when the rows are summed (`ranking.summaries`), so that neither needs a new row.

**`judged`** has one record a ranking, by the ranking's key, all numbers big-endian:

| bytes | what |
|---|---|
| 8 | the labeler's membership |
| 8 | when it was submitted: microseconds since 2000-01-01 UTC |
| 4 | version of the instructions, 0 for none |
| 2 | 1 for the targeted pool, 0 for the random one (imported rankings) |
| 9 | dense ranks in the order of the responses' outside ids, then zeros |
| 9 | which response, 1 for the first by outside id, was shown first, second, …; zeros \
where that is not known |

**`compared`** has one record for every two of them. Of the dense ranks r of one and s
of the other, a pair of responses (i, j) has the differences d = r_i - r_j and
e = s_i - s_j, and belongs to

- SE at distance min(|d|, |e|) where d · e > 0: both strict and equal,
- SO at distance min(|d|, |e|) where d · e < 0: both strict and opposite,
- TT where d = e = 0, and TS where one of them is 0 and the other is not.

| bytes | what |
|---|---|
| 2 + 2 | which two records of `judged`, counted from 0 |
| 8 | SE at distance 1 … 8 |
| 8 | SO at distance 1 … 8 |
| 1 + 1 | TT, TS |

No count exceeds C(9, 2) = 36, so a byte holds each. `ranking.tallies` reads the
records; a test holds both against the pure statistics.
"""

from typing import Final

from annotation.models import MOST_RESPONSES

MOST_PAIRS_APART: Final = MOST_RESPONSES - 1


def _byte(number: str) -> str:
    """A number below 256 as one byte."""
    return f"substr(int2send(({number})::int2), 2)"


def _bytes_of(array: str) -> str:
    """The numbers of an array as one byte each, filled up with zeros."""
    return f"""(
        SELECT coalesce(string_agg({_byte("number")}, ''::bytea ORDER BY at), '')
            || substr(decode(repeat('00', {MOST_RESPONSES}), 'hex'), 1 + count(*)::int)
        FROM unnest({array}) WITH ORDINALITY AS listed (number, at))"""  # noqa: S608  words of this file


def _counted_at(sign: str) -> str:
    """How many pairs have an outcome of this sign, one byte for each distance."""
    return " || ".join(
        _byte(f"count(*) FILTER (WHERE outcome = {sign}{distance})")
        for distance in range(1, MOST_PAIRS_APART + 1)
    )


# Locks come in the order of the keys, so that two who sum up many prompts cannot wait
# for each other.
LOCK: Final = """
SELECT id FROM annotation_prompt WHERE id = ANY(%(prompts)s)
ORDER BY id FOR NO KEY UPDATE
"""

SUMMARIZE: Final = f"""
WITH ranked AS MATERIALIZED (
    SELECT prompt.id AS prompt, prompt.project_id AS project, ranking.submitted_at,
           assignment.labeler_id AS labeler, assignment.pool,
           assignment.display_order, coalesce(instructions.version, 0) AS version,
           placed.ranks,
           row_number() OVER (PARTITION BY prompt.id ORDER BY ranking.id) - 1 AS place
    FROM annotation_prompt prompt
    JOIN annotation_assignment assignment ON assignment.prompt_id = prompt.id
    JOIN ranking_ranking ranking ON ranking.assignment_id = assignment.id
    LEFT JOIN annotation_instructions instructions
        ON instructions.id = ranking.instructions_id
    CROSS JOIN LATERAL (
        SELECT array_agg(placement.rank ORDER BY response.external_id COLLATE "C")
        FROM ranking_placement placement
        JOIN annotation_response response ON response.id = placement.response_id
        WHERE placement.ranking_id = ranking.id) AS placed (ranks)
    WHERE prompt.id = ANY(%(prompts)s) AND prompt.purpose = 'work'
      AND assignment.repeat = 0 AND ranking.status = 'counted'
      AND NOT EXISTS (SELECT 1 FROM ranking_ranking later
                      WHERE later.revises_id = ranking.id)
),
judged AS (
    SELECT prompt, project, count(*) AS rankings,
           max(cardinality(ranks)) AS k, max(submitted_at) AS newest_at,
           string_agg(
               int8send(labeler) || timestamptz_send(submitted_at)
               || int4send(version::int) || int2send((pool = 'targeted')::int::int2)
               || {_bytes_of("ranks")}
               || {_bytes_of("ARRAY(SELECT 1 + unnest(display_order))")},
               ''::bytea ORDER BY place) AS records
    FROM ranked GROUP BY prompt, project
),
judged_pairs AS (
    SELECT one.prompt, one.place AS first, other.place AS second,
           one.ranks[i] - one.ranks[j] AS d, other.ranks[i] - other.ranks[j] AS e
    FROM ranked one
    JOIN ranked other ON other.prompt = one.prompt AND other.place > one.place
    CROSS JOIN LATERAL generate_series(1, cardinality(one.ranks)) AS i
    CROSS JOIN LATERAL generate_series(i + 1, cardinality(one.ranks)) AS j
),
outcomes AS (
    SELECT prompt, first, second, d, e,
           sign(d * e)::int * least(abs(d), abs(e)) AS outcome
    FROM judged_pairs
),
compared AS (
    SELECT prompt, string_agg(record, ''::bytea ORDER BY first, second) AS records
    FROM (
        SELECT prompt, first, second,
               int2send(first::int2) || int2send(second::int2)
               || {_counted_at("")} || {_counted_at("-")}
               || {_byte("count(*) FILTER (WHERE d = 0 AND e = 0)")}
               || {_byte("count(*) FILTER (WHERE (d = 0) <> (e = 0))")} AS record
        FROM outcomes GROUP BY prompt, first, second) AS comparison
    GROUP BY prompt
),
emptied AS (
    DELETE FROM ranking_promptsummary
    WHERE prompt_id = ANY(%(prompts)s)
      AND prompt_id NOT IN (SELECT prompt FROM judged)
)
INSERT INTO ranking_promptsummary
    (prompt_id, project_id, k, rankings, newest_at, judged, compared)
SELECT judged.prompt, project, k, rankings, newest_at, judged.records,
       coalesce(compared.records, ''::bytea)
FROM judged LEFT JOIN compared USING (prompt)
ON CONFLICT (prompt_id) DO UPDATE SET
    k = excluded.k, rankings = excluded.rankings, newest_at = excluded.newest_at,
    judged = excluded.judged, compared = excluded.compared
"""  # noqa: S608  words of this file

# For whoever stores one ranking. With a list Postgres plans it anew every time, for it
# cannot know how long the next one is; that takes five times as long as running it.
SUMMARIZE_ONE: Final = SUMMARIZE.replace("= ANY(%(prompts)s)", "= %(prompt)s")
