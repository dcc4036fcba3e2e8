"""Lists that grow while they are read: newest first, a page at a time, by key.

Page numbers would show a row twice, or never, once others come before it.
"""

import re
from typing import TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def cursor_of(word: str) -> int | None:
    """The key in an address; None for a word that is none."""
    return int(word) if re.fullmatch(r"\d{1,18}", word) else None


def newest_first(
    rows: QuerySet[Row], *, most: int, before: int | None
) -> tuple[list[Row], int | None]:
    """Up to `most` rows with keys below `before`, newest first, and the `before` of the
    next page; None if this is the last. One query."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: most + 1])
    page = found[:most]
    return page, page[-1].pk if len(found) > most else None
