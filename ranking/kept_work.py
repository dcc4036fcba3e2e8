"""What a labeler has done about a prompt so far, to be shown when its page opens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from annotation.models import Assignment, AssignmentState
from ranking.drafts import Content, stored_content
from ranking.history import editable_until, why_closed
from ranking.models import Draft
from ranking.rank_page import Kept

HELD = (AssignmentState.CLAIMED, AssignmentState.PREFETCHED)


@dataclass(frozen=True, kw_only=True)
class KeptWork:
    """`kept` fills the form. `ranked`: a ranking is stored; then it may be corrected
    until `editable_until`, or `closed` says why not."""

    kept: Kept = field(default_factory=Kept)
    draft: Draft | None = None
    ranked: bool = False
    editable_until: datetime | None = None
    closed: str = ""


def kept_work(assignment: Assignment) -> KeptWork:
    """The draft, else the stored ranking. For `own_assignment(…, *PAGE)`; no query for
    a prompt that is held, up to five for one that was ranked."""
    draft = draft_of(assignment)
    stored = None if assignment.state in HELD else stored_content(assignment)
    if stored is None:
        kept = kept_of(draft.content) if draft else Kept()
        return KeptWork(kept=kept, draft=draft)
    until = editable_until(assignment)
    if until is None:
        closed = why_closed(assignment) or ""
        return KeptWork(kept=kept_of(stored), ranked=True, closed=closed)
    return KeptWork(
        kept=kept_of(draft.content if draft else stored, replace=True),
        draft=draft,
        ranked=True,
        editable_until=until,
    )


def draft_text(work: KeptWork) -> str:
    """The draft as JSON, as `draft_json` says it; "null" without one."""
    return json.dumps(draft_json(work.draft) if work.draft else None)


def draft_of(assignment: Assignment) -> Draft | None:
    """Of an assignment that came with its draft; no query."""
    draft: Draft | None = getattr(assignment, "draft", None)
    return draft


def draft_json(draft: Draft) -> dict[str, Any]:
    """A draft as pages and programs get it."""
    return {
        "rev": draft.rev,
        "saved_at": draft.saved_at.isoformat(),
        **draft.content,
    }


def kept_of(content: Content, *, replace: bool = False) -> Kept:
    """Fields of the form for what a draft or a stored ranking says."""
    flags: Mapping[str, list[str]] = content.get("flags", {})
    return Kept(
        tiers=_texts(content.get("ranks", {})),
        ratings=_texts(content.get("ratings", {})),
        flags=flags,
        note=content.get("note", ""),
        replace=replace,
    )


def _texts(numbers: Mapping[str, int]) -> dict[str, str]:
    return {letter: str(number) for letter, number in numbers.items()}
