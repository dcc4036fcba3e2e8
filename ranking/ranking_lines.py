"""A line of the rankings file: what it may say, and what it means. PURE."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from annotation import json_fields
from annotation.json_fields import required
from annotation.strict_json import Refused
from ranking.weak_order import dense_ranks

FIELDS: Final = frozenset(
    ("id", "prompt_id", "labeler", "ranks", "seconds", "submitted_at")
)

Key = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class RankingLine:
    """A ranking made elsewhere, as a checked line gives it."""

    id: str | None
    prompt_id: str
    labeler: str
    raw_ranks: dict[str, int]
    seconds: float | None
    submitted_at: datetime | None

    @property
    def key(self) -> Key:
        """What a line is known by: its id, else its prompt and labeler."""
        return self.id or (self.prompt_id, self.labeler)

    @property
    def ranks(self) -> dict[str, int]:
        """Dense ranks 1..T: the same order without gaps."""
        return dense_ranks(self.raw_ranks)

    @property
    def sha256(self) -> str:
        """Hash of what the line says."""
        said = [self.id, self.prompt_id, self.labeler, sorted(self.raw_ranks.items())]
        when = self.submitted_at and self.submitted_at.isoformat()
        canonical = json.dumps([*said, self.seconds, when], ensure_ascii=False)
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def check_ranking(fields: dict[str, Any]) -> RankingLine:
    """The ranking of a line's object. Raises Refused."""
    given_id = fields.get("id")
    ranks = json_fields.ranks(required(fields, "ranks"), "ranks")
    if not ranks:
        raise Refused("incomplete", "'ranks' is empty: no response is ranked")
    return RankingLine(
        id=None if given_id is None else json_fields.word(given_id, "id"),
        prompt_id=json_fields.word(required(fields, "prompt_id"), "prompt_id"),
        labeler=json_fields.word(required(fields, "labeler"), "labeler"),
        raw_ranks=ranks,
        seconds=json_fields.seconds(fields.get("seconds"), "seconds"),
        submitted_at=_moment(fields.get("submitted_at")),
    )


def _moment(value: Any) -> datetime | None:
    """ISO 8601 with an offset, in UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        in_utc = moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise Refused(
            "wrong_type",
            "'submitted_at' is not a time with its offset, like 2026-11-21T09:00:00Z",
        )
    return in_utc
