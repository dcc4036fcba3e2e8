"""The log of a run, as rows: what its page shows line by line."""

from typing import Final

from rm_training.models import NoteKind, RunNote, TrainingRun

LONGEST: Final = 1000
LINES_SHOWN: Final = 200


def add_line(
    run: TrainingRun, text: str, *, kind: NoteKind = NoteKind.NOTE, attempt: int = 0
) -> RunNote:
    """Add a line. An attempt's own lines are written by its reporter, fenced."""
    return RunNote.objects.create(
        run=run, attempt=attempt, kind=kind, text=text[:LONGEST]
    )


def log_of(run: TrainingRun) -> list[RunNote]:
    """The newest lines, oldest first. One query."""
    return list(run.notes.order_by("-pk")[:LINES_SHOWN])[::-1]
