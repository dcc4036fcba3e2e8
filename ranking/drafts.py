"""Rankings in the making, kept on the server as well as in the browser."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from annotation.closing import lock_begun
from annotation.models import Assignment
from annotation.shown import as_shown, responses_of
from ranking.models import Draft, Placement, Ranking

Content = dict[str, Any]  # {"ranks", "ratings", "flags", "note"}, by letters

# Of two pages that save at the same moment one finds a row, or a revision, that it does
# not know.
FIRST: Final = """
INSERT INTO ranking_draft (assignment_id, rev, content, saved_at)
SELECT %(assignment)s, 1, %(content)s, statement_timestamp()
WHERE %(replace)s OR NOT EXISTS (
    SELECT FROM ranking_ranking WHERE assignment_id = %(assignment)s)
ON CONFLICT (assignment_id) DO NOTHING
RETURNING rev, saved_at
"""
NEXT: Final = """
UPDATE ranking_draft
SET rev = rev + 1, content = %(content)s, saved_at = statement_timestamp()
WHERE assignment_id = %(assignment)s AND rev = %(rev)s
RETURNING rev, saved_at
"""


class DraftConflictError(Exception):
    """Another page saved in between, or submitted. Nothing was overwritten.

    `content` is what stands there: the newer draft, of revision `rev`; else, `rev`
    being 0, the ranking that was stored; else None.
    """

    def __init__(self, rev: int, content: Content | None) -> None:
        self.rev = rev
        self.content = content
        super().__init__("Another page of yours has saved this ranking in between.")


@dataclass(frozen=True)
class Saved:
    """The revision of a draft that was saved, and when (the database's time)."""

    rev: int
    saved_at: datetime


def save_draft(
    assignment: Assignment, *, rev: int, content: Content, replace: bool = False
) -> Saved:
    """Save a draft over the revision `rev` that its page last saw; 0 for none.

    `replace`: the page knows that a ranking is stored, and corrects it.

    1. The first save locks the assignment, as `submit` does: after waiting for one it
       looks anew. What is held counts as seen from then on, so that a draft stays when
       its prompt is given back.
    2. Then it inserts; a row that another page inserted stays (the draft's assignment
       is unique). Without `replace` it inserts nothing where a ranking is stored, or
       the save of a page left open would hide that ranking.
    3. A later one updates the row of its own revision only. Postgres looks at the
       revision again after it has waited for another page's update, so of two that
       know revision 3 one becomes revision 4, and the other is told.

    Raises DraftConflictError. One statement; at most five for the first save.
    """
    values: dict[str, Any] = {
        "assignment": assignment.pk,
        "rev": rev,
        "replace": replace,
        "content": Jsonb(content),
    }
    saved = _save(NEXT, values) if rev else _save_first(assignment, values)
    if saved is None:
        raise _conflict(assignment)
    return saved


def _save_first(assignment: Assignment, values: dict[str, Any]) -> Saved | None:
    with transaction.atomic():
        return _save(FIRST, values) if lock_begun(assignment) else None


def _save(statement: str, values: dict[str, Any]) -> Saved | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        saved = cursor.fetchone()
    return Saved(*saved) if saved else None


def _conflict(assignment: Assignment) -> DraftConflictError:
    draft = Draft.objects.filter(assignment=assignment).first()
    if draft is not None:
        return DraftConflictError(draft.rev, draft.content)
    return DraftConflictError(0, stored_content(assignment))


def stored_content(assignment: Assignment) -> Content | None:
    """The current ranking of an assignment, as a draft says it. Three queries at most.

    None if there is no ranking.
    """
    rankings = Ranking.objects.current().filter(assignment=assignment)
    ranking = rankings.first()
    if ranking is None:
        return None
    responses = responses_of(assignment)
    placed = {place.response_id: place for place in ranking.placements.all()}
    by_letter = {
        letter: placed[response.pk]
        for letter, response in as_shown(assignment, responses).items()
    }
    return _content(by_letter, ranking.note)


def _content(by_letter: dict[str, Placement], note: str) -> Content:
    return {
        "ranks": {letter: place.rank for letter, place in by_letter.items()},
        "ratings": {
            letter: place.rating for letter, place in by_letter.items() if place.rating
        },
        "flags": {
            letter: place.flags for letter, place in by_letter.items() if place.flags
        },
        "note": note,
    }
