"""How a prompt's summary row is made from its rankings: one statement, from scratch.

Only prompts of the purpose work have one, from their first ranking on. What counts in
`rankings`, `judged` and `compared` is what `agreement.md`, section 2, lets count, as
far as it is settled when a ranking is stored: current (no later revision), counted,
not a repeat. `worked` has every current ranking. Whether the prompt was taken out
since, and whose rankings are left out, is asked when the rows are summed
(`ranking.summaries`), so that neither needs a new row.

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

**`worked`** has one record for every current ranking, by its key, for what is said of
single labelers (`ranking.worked` reads it):

| bytes | what |
|---|---|
| 8 + 8 | the ranking, the labeler's membership |
| 8 + 8 | when it was submitted, and when the first one of its assignment was |
| 8 + 8 | active seconds of the ranking, and of all revisions of its assignment: \
doubles, NaN where none was timed |
| 4 | version of the instructions, 0 for none |
| 2 | 0 for the first time that the labeler had the prompt, then 1, 2, … |
| 1 + 1 | 0 counted, 1 late, 2 surplus; 1 for the targeted pool |
| 9 + 9 | ranks and order shown, as in `judged` |

**`sizes`** are ten numbers of four bytes: the characters of the prompt's messages, then
those of each response by outside id, then zeros.
"""

from itertools import combinations
from typing import Final

from annotation.models import MOST_RESPONSES
from ranking.worked import STATUSES

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


def _every_pair() -> str:
    """(1, 2), (1, 3) … (8, 9), as they are: of a function that makes rows Postgres
    expects a thousand, and of two of them more work than it then does."""
    pairs = combinations(range(1, MOST_RESPONSES + 1), 2)
    return ", ".join(f"({first}, {second})" for first, second in pairs)


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

# In a query of its own, so that Postgres plans the same for one prompt and for many. It
# would make a new plan for each submission else, which takes longer than the work.
_OF_THESE: Final = "= ANY((SELECT %(prompts)s::bigint[])::bigint[])"

SUMMARIZE: Final = f"""
WITH ranked AS MATERIALIZED (
    SELECT prompt.id AS prompt, prompt.project_id AS project, ranking.id AS ranking,
           ranking.submitted_at, ranking.status::text, spent.first_at,
           coalesce(ranking.active_seconds, 'NaN') AS seconds,
           coalesce(spent.seconds, 'NaN') AS spent,
           assignment.labeler_id AS labeler, assignment.repeat, counts,
           (assignment.pool = 'targeted')::int AS targeted,
           coalesce(instructions.version, 0)::int AS version,
           placed.ranks,
           {_bytes_of("placed.ranks")} AS ranked,
           {_bytes_of("ARRAY(SELECT 1 + unnest(assignment.display_order))")} AS shown,
           row_number() OVER (PARTITION BY prompt.id, counts ORDER BY ranking.id) - 1
               AS place
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
    CROSS JOIN LATERAL (
        SELECT min(submitted_at), sum(active_seconds) FROM ranking_ranking revision
        WHERE revision.assignment_id = assignment.id) AS spent (first_at, seconds)
    CROSS JOIN LATERAL (
        SELECT assignment.repeat = 0 AND ranking.status = 'counted') AS counted (counts)
    WHERE prompt.id {_OF_THESE} AND prompt.purpose = 'work'
      AND NOT EXISTS (SELECT 1 FROM ranking_ranking later
                      WHERE later.revises_id = ranking.id)
),
judged AS (
    SELECT prompt, project, count(*) FILTER (WHERE counts) AS rankings,
           max(cardinality(ranks)) AS k, max(submitted_at) AS newest_at,
           string_agg(
               int8send(labeler) || timestamptz_send(submitted_at)
               || int4send(version) || int2send(targeted::int2) || ranked || shown,
               ''::bytea ORDER BY place) FILTER (WHERE counts) AS records,
           string_agg(
               int8send(ranking) || int8send(labeler)
               || timestamptz_send(submitted_at) || timestamptz_send(first_at)
               || float8send(seconds) || float8send(spent)
               || int4send(version) || int2send(repeat)
               || {_byte(f"array_position(ARRAY{list(STATUSES)}, status) - 1")}
               || {_byte("targeted")} || ranked || shown,
               ''::bytea ORDER BY ranking) AS worked
    FROM ranked GROUP BY prompt, project
),
sized AS (
    SELECT prompt.id AS prompt,
           int4send(length(prompt.messages::text))
           || string_agg(int4send(response.characters), ''::bytea
                         ORDER BY response.external_id COLLATE "C")
           || decode(repeat('00000000', {MOST_RESPONSES} - count(*)::int), 'hex')
               AS sizes
    FROM annotation_prompt prompt
    JOIN annotation_response response ON response.prompt_id = prompt.id
    WHERE prompt.id {_OF_THESE} GROUP BY prompt.id
),
judged_pairs AS MATERIALIZED (
    SELECT one.prompt, one.place AS first, other.place AS second,
           one.ranks[i] - one.ranks[j] AS d, other.ranks[i] - other.ranks[j] AS e
    FROM ranked one
    JOIN ranked other ON other.prompt = one.prompt AND other.place > one.place
        AND one.counts AND other.counts
    JOIN (VALUES {_every_pair()}) AS pair (i, j) ON j <= cardinality(one.ranks)
),
outcomes AS MATERIALIZED (
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
    WHERE prompt_id {_OF_THESE}
      AND prompt_id NOT IN (SELECT prompt FROM judged)
)
INSERT INTO ranking_promptsummary
    (prompt_id, project_id, k, rankings, newest_at, judged, compared, worked, sizes)
SELECT judged.prompt, project, k, rankings, newest_at, coalesce(judged.records, ''),
       coalesce(compared.records, ''), worked, sizes
FROM judged JOIN sized USING (prompt) LEFT JOIN compared USING (prompt)
ON CONFLICT (prompt_id) DO UPDATE SET
    k = excluded.k, rankings = excluded.rankings, newest_at = excluded.newest_at,
    judged = excluded.judged, compared = excluded.compared,
    worked = excluded.worked, sizes = excluded.sizes
"""  # noqa: S608  words of this file
