"""Who changed what: said to the database while an admin is at work, read for a page.

Triggers write the history (migration 0011 and later ones), so commands, bulk updates
and hand-written SQL are in it too. A labeler's requests say nothing: they cost no
statement more.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import Error, connection
from django.utils import timezone

from annotation.models import (
    Change,
    ChangeAction,
    ChangeKind,
    Instructions,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Terms,
    User,
)
from annotation.paging import newest_first

CHANGES_PER_PAGE: Final = 50
LABELS: Final[Mapping[str, str]] = {
    "archive": "Takes imports only",
    "closed_at": "Archived since",
    "overlap": "Labelers for a prompt",
    "overlap_fraction": "Share of prompts with that overlap",
    "data_licence": "Licence of the data",
    "rate_first": "Rate, then rank",
    "show_word_counts": "Show how many words a response has",
    "lease_minutes": "Minutes a prompt is held",
    "bad_prompt_votes": "Votes that take a bad prompt out",
    "editable_rankings": "Latest rankings that may be corrected",
    "editable_minutes": "Minutes in which they may be corrected",
    "gold_fraction": "Share of gold prompts",
    "repeat_fraction": "Share of repeated prompts",
    "qualification_threshold": "Share needed in the qualification test",
    "labelers_see_agreement": "Show labelers their own agreement with others",
    "slug": "Name in addresses",
    "paused_at": "Paused since",
    "forgotten_at": "Forgotten since",
    "revoked_at": "Removed since",
    "ended_at": "Counted again since",
    "k_min": "Fewest responses",
    "k_max": "Most responses",
    "top_p": "Top-p",
    "max_new_tokens": "Longest response",
    "sft_model": "SFT model",
}
DEEDS: Final[Mapping[tuple[str, str], str]] = {
    (ChangeKind.PROJECT, ChangeAction.MADE): "made",
    (ChangeKind.MEMBER, ChangeAction.MADE): "let in",
    (ChangeKind.MEMBER, ChangeAction.ENDED): "removed",
    (ChangeKind.INSTRUCTIONS, ChangeAction.MADE): "written",
    (ChangeKind.TERMS, ChangeAction.MADE): "written",
    (ChangeKind.PROMPT, ChangeAction.MADE): "taken out",
    (ChangeKind.PROMPT, ChangeAction.ENDED): "put back",
    (ChangeKind.TAKEDOWN, ChangeAction.MADE): "taken down",
    (ChangeKind.IMPORT, ChangeAction.MADE): "imported",
    (ChangeKind.IMPORT, ChangeAction.CHANGED): "undone",
    (ChangeKind.WITHDRAWAL, ChangeAction.MADE): "withdrawn",
    (ChangeKind.WITHDRAWAL, ChangeAction.CHANGED): "counted again",
}
ACT: Final = "SELECT set_config('rankwell.acting', %s, false)"


@contextmanager
def acting(user: User) -> Iterator[None]:
    """Whatever changes inside, `user` did it. Two statements.

    The connection is told, not the transaction: some verbs need several of these. One
    that cannot be told that it is over is closed, so nobody inherits the name.
    """
    _tell(str(user.pk))
    try:
        yield
    finally:
        try:
            _tell("")
        except Error:
            connection.close()


def _tell(who: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ACT, [who])


# --- Reading ----------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One thing that a change changed; "" for what was not, or is no more."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeLine:
    """One change in words."""

    change: Change
    by: str  # whose account it was; "" for commands and rules
    subject: str
    deed: str
    differences: list[Difference]


def changes_of(
    project: Project, *, kind: str = "", before: int | None = None
) -> tuple[list[ChangeLine], int | None]:
    """A page of the history, newest first, and the cursor of the next one, if any.

    `kind`: only these; "" is all. At most nine queries, however long the history is.
    """
    changes = Change.objects.filter(project=project).select_related("by")
    if kind:
        changes = changes.filter(kind=kind)
    page, older = newest_first(changes, most=CHANGES_PER_PAGE, before=before)
    return list(_lines(project, page)), older


def _lines(project: Project, page: Collection[Change]) -> Iterator[ChangeLine]:
    names = {kind: _names(project, kind, page) for kind in ChangeKind}
    for change in page:
        kind = ChangeKind(change.kind)
        yield ChangeLine(
            change=change,
            by=change.by.email if change.by else "",
            subject=names[kind].get(change.subject_id, f"{kind} {change.subject_id}"),
            deed=_deed(change),
            differences=list(_differences(change)),
        )


def _deed(change: Change) -> str:
    """A member's row outlives their removal, so that is a change of the row."""
    if change.kind == ChangeKind.MEMBER and "revoked_at" in change.after:
        return "removed" if change.after["revoked_at"] else "let in again"
    return DEEDS.get((change.kind, change.action), change.action)


def _names(
    project: Project, kind: ChangeKind, page: Iterable[Change]
) -> dict[int, str]:
    """What subjects of this kind are called now. One query, if there are any."""
    keys = {change.subject_id for change in page if change.kind == kind}
    if kind is ChangeKind.PROJECT or not keys:
        return dict.fromkeys(keys, "The project")
    if kind in (ChangeKind.MEMBER, ChangeKind.WITHDRAWAL):
        named = Membership.objects.filter(pk__in=keys, project=project)
        whose = "Rankings of " if kind is ChangeKind.WITHDRAWAL else ""
        return {pk: f"{whose}{name}" for pk, name in named.values_list("pk", "name")}
    if kind in (ChangeKind.PROMPT, ChangeKind.TAKEDOWN):
        return dict(
            Prompt.objects.filter(pk__in=keys, project=project).values_list(
                "pk", "external_id"
            )
        )
    if kind is ChangeKind.IMPORT:
        names = PromptImport.objects.filter(pk__in=keys, project=project)
        return dict(names.values_list("pk", "file_name"))
    versions = (Instructions if kind is ChangeKind.INSTRUCTIONS else Terms).objects
    numbered = versions.filter(pk__in=keys, project=project)
    return {
        pk: f"{kind.label}, version {version}"
        for pk, version in numbered.values_list("pk", "version")
    }


def _differences(change: Change) -> Iterator[Difference]:
    """What of the row differs; a project that was made differs in everything."""
    if (change.kind, change.action) == (ChangeKind.PROJECT, ChangeAction.MADE):
        return
    for column in sorted({*change.before, *change.after} - {"version", "file_name"}):
        before = in_words(column, change.before.get(column))
        after = in_words(column, change.after.get(column))
        if before != after:  # what a new row leaves empty is no change
            label = LABELS.get(column, column.replace("_", " ").capitalize())
            yield Difference(label, before, after)


def in_words(column: str, value: Any) -> str:
    """A value as a person reads it; "" for none."""
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if column.endswith("_at"):
        moment = datetime.fromisoformat(str(value))
        return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M %Z")
    return str(value)
