"""The queue's own SQL: what a labeler holds, and the statement that hands out a slot.

`OFFSET 0` keeps the planner from turning a NOT EXISTS into a join over the whole index,
which it does for a labeler whom the statistics do not know, and which costs as much as
the queue is long. All of these read nothing that grows with the project.
"""

from typing import Final

# No prompt comes twice to a labeler, whatever became of it; except one that was loaded
# ahead for them and went to somebody else before they saw it.
NOT_MINE: Final = """NOT EXISTS (
        SELECT 1 FROM annotation_assignment mine
        WHERE mine.labeler_id = %(labeler)s AND mine.prompt_id = queued.prompt_id
          AND NOT (mine.state = 'expired' AND mine.shown_at IS NULL)
        OFFSET 0)"""

# Passes over rows that another claim is taking at this moment.
SKIP_LOCKED: Final = "FOR NO KEY UPDATE OF queued SKIP LOCKED"

# A slot that somebody held for too long. There are at most two for each labeler.
_LAPSED: Final = f"""
    SELECT queued.* FROM annotation_assignment queued
    WHERE queued.project_id = %(project)s
      AND queued.state IN ('prefetched', 'claimed')
      AND queued.lease_until < statement_timestamp()
      AND queued.source = 'queue'
      AND {NOT_MINE}
      AND NOT EXISTS (
        SELECT 1 FROM annotation_promptrejection rejection
        WHERE rejection.prompt_id = queued.prompt_id
        OFFSET 0)
"""  # noqa: S608  made of this module's own pieces
_LONGEST: Final = " ORDER BY queued.lease_until LIMIT 1 "
# Somebody has seen it and went away; or it waits for somebody at work on another one.
_SEEN: Final = "(queued.state = 'claimed' OR queued.shown_at IS NOT NULL)"
ABANDONED: Final = f"{_LAPSED} AND {_SEEN} {_LONGEST}"
UNSEEN: Final = (
    f"{_LAPSED} AND queued.state = 'prefetched' AND queued.shown_at IS NULL {_LONGEST}"
)
LOCK_ABANDONED: Final = ABANDONED + SKIP_LOCKED
LOCK_UNSEEN: Final = UNSEEN + SKIP_LOCKED

# The labeler as they are now, and all that decides what they are handed next.
ASKING: Final = f"""
SELECT member.*, statement_timestamp() AS asked_at, project.archive AS in_an_archive,
    project.closed_at AS project_closed_at, project.lease_minutes,
    (SELECT id FROM annotation_assignment
     WHERE project_id = %(project)s AND labeler_id = %(labeler)s
       AND state = 'claimed') AS claimed,
    (SELECT id FROM annotation_assignment
     WHERE project_id = %(project)s AND labeler_id = %(labeler)s
       AND state = 'prefetched') AS prefetched,
    (SELECT id FROM annotation_instructions WHERE project_id = %(project)s
     ORDER BY version DESC LIMIT 1) AS newest_instructions,
    (SELECT NOT EXISTS (
        SELECT 1 FROM annotation_consent
        WHERE membership_id = %(labeler)s AND terms_id = terms.id)
     FROM annotation_terms terms WHERE terms.project_id = %(project)s
     ORDER BY terms.version DESC LIMIT 1) AS terms_await_consent,
    EXISTS ({ABANDONED}) AS something_abandoned,
    EXISTS ({UNSEEN}) AS something_unseen,
    member.cursor_version = project.queue_version
        AND (member.cursor_reset_at IS NULL
             OR member.cursor_reset_at < statement_timestamp() - interval '10 minutes')
        AS may_look_again
FROM annotation_membership member
JOIN annotation_project project ON project.id = member.project_id
WHERE member.id = %(labeler)s
"""  # noqa: S608  made of this module's own pieces

# Where the labeler's look at the queue begins: at their cursor, unless the queue has
# changed behind it, or the look is to begin anew.
_CURSOR: Final = """
    SELECT member.id, member.project_id, project.queue_version, project.lease_minutes,
        look.goes_on,
        CASE WHEN look.goes_on THEN member.cursor_seq ELSE -1 END AS seq,
        CASE WHEN look.goes_on THEN member.cursor_slot ELSE -1 END AS slot
    FROM annotation_membership member
    JOIN annotation_project project ON project.id = member.project_id
    CROSS JOIN LATERAL (SELECT {goes_on} AS goes_on) look
    WHERE member.id = %(labeler)s
"""
_FROM_THE_CURSOR: Final = "member.cursor_version = project.queue_version"
_ANEW: Final = "false"
# A look that begins anew ends after so many rows: it is for rows that everybody has
# passed by, and where these are few among many, there is work enough for others, who
# come to them in their turn.
_NOT_TOO_FAR: Final = """
      AND queued.seq <= coalesce((
        SELECT seq FROM annotation_assignment
        WHERE project_id = %(project)s AND state = 'open'
        ORDER BY seq, slot OFFSET 20000 LIMIT 1), 9223372036854775807)"""
AHEAD: Final = """queued.project_id = %(project)s AND queued.state = 'open'
      AND (queued.seq, queued.slot) > ((SELECT seq FROM me), (SELECT slot FROM me))"""

# Hands out the next open slot, as one statement and so as one transaction:
# 1. `me` locks the membership: claims of one labeler (two tabs, a double click) come
#    one by one. The later one goes on with the snapshot it has, so it may choose what
#    the earlier one changed; then the unique constraints refuse it, and `claim` asks
#    again.
# 2. `pick` locks the next open row that is theirs to take, and passes over rows which
#    other claims are locking.
# 3. `moved` puts the cursor there; when nothing was found, to the end of the queue.
# 4. The row becomes the labeler's.
_TAKE: Final = f"""
WITH me AS MATERIALIZED ({_CURSOR} FOR NO KEY UPDATE OF member),
pick AS MATERIALIZED (
    SELECT queued.id, queued.seq, queued.slot FROM annotation_assignment queued
    WHERE {AHEAD} AND {NOT_MINE}{{limit}}
    ORDER BY queued.seq, queued.slot
    LIMIT 1 {SKIP_LOCKED}),
reached AS (
    SELECT seq, slot FROM pick
    UNION ALL
    (SELECT queued.seq, queued.slot FROM annotation_assignment queued
     WHERE {AHEAD} AND NOT EXISTS (SELECT 1 FROM pick)
     ORDER BY queued.seq DESC, queued.slot DESC
     LIMIT 1)),
moved AS (
    UPDATE annotation_membership member SET
        cursor_seq = coalesce(reached.seq, me.seq),
        cursor_slot = coalesce(reached.slot, me.slot),
        cursor_version = me.queue_version,
        cursor_reset_at =
            CASE WHEN me.goes_on THEN member.cursor_reset_at
                ELSE statement_timestamp() END
    FROM me LEFT JOIN reached ON true
    WHERE member.id = me.id AND (reached.seq IS NOT NULL OR NOT me.goes_on))
UPDATE annotation_assignment queued SET
    state = %(state)s::text,
    labeler_id = me.id,
    claimed_at = statement_timestamp(),
    lease_until = statement_timestamp() + CASE %(state)s::text
        WHEN 'prefetched' THEN %(prefetch_lease)s::interval
        ELSE make_interval(mins => me.lease_minutes) END,
    instructions_id = (
        SELECT id FROM annotation_instructions WHERE project_id = me.project_id
        ORDER BY version DESC LIMIT 1)
FROM pick, me
WHERE queued.id = pick.id
RETURNING queued.*
"""  # noqa: S608  made of this module's own pieces
# Two texts and no parameter: Postgres would plan the claim anew each time to know what
# the parameter says, which takes twice as long as the claim.
TAKE: Final = _TAKE.format(goes_on=_FROM_THE_CURSOR, limit="")
TAKE_ANEW: Final = _TAKE.format(goes_on=_ANEW, limit=_NOT_TOO_FAR)

# A look that takes nothing and goes a limited way: found, or how far it went.
_PEEK: Final = f"""
WITH me AS MATERIALIZED ({_CURSOR}),
ahead AS MATERIALIZED (
    SELECT queued.prompt_id FROM annotation_assignment queued
    WHERE {AHEAD}
    ORDER BY queued.seq, queued.slot
    LIMIT %(most)s)
SELECT EXISTS (SELECT 1 FROM ahead queued WHERE {NOT_MINE}),
    (SELECT count(*) FROM ahead) = %(most)s
"""  # noqa: S608  made of this module's own pieces
PEEK: Final = _PEEK.format(goes_on=_FROM_THE_CURSOR)
PEEK_ANEW: Final = _PEEK.format(goes_on=_ANEW)

# Whoever holds a row goes on holding it; one that was loaded ahead becomes their claim,
# if they have no other. Not so when its prompt was taken out before they saw it. While
# they are at work on their claim, what is loaded ahead for them stays theirs as well;
# the claim is locked first.
KEEP: Final = """
WITH kept AS (
UPDATE annotation_assignment held SET
    lease_until = statement_timestamp() + make_interval(mins => (
        SELECT lease_minutes FROM annotation_project WHERE id = held.project_id)),
    shown_at = CASE WHEN %(shown)s::boolean
        THEN coalesce(held.shown_at, statement_timestamp())
        ELSE held.shown_at END,
    state = CASE WHEN EXISTS (
            SELECT 1 FROM annotation_assignment other
            WHERE other.project_id = held.project_id AND other.id <> held.id
              AND other.labeler_id = held.labeler_id AND other.state = 'claimed')
        THEN held.state ELSE 'claimed' END
WHERE held.id = %(id)s AND held.labeler_id = %(labeler)s
  AND held.state IN ('claimed', 'prefetched')
  AND (held.state = 'claimed' OR held.shown_at IS NOT NULL OR NOT EXISTS (
    SELECT 1 FROM annotation_promptrejection rejection
    WHERE rejection.prompt_id = held.prompt_id))
RETURNING held.*),
ahead AS (
UPDATE annotation_assignment ahead SET
    lease_until = greatest(
        ahead.lease_until, statement_timestamp() + %(prefetch_lease)s::interval)
FROM kept
WHERE ahead.project_id = kept.project_id AND ahead.labeler_id = kept.labeler_id
  AND ahead.state = 'prefetched' AND ahead.id <> kept.id AND kept.state = 'claimed')
SELECT * FROM kept
"""
