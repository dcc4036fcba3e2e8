"""Prompts from a file: all of it or nothing, or its good lines piece by piece."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from django.db import connection

from annotation import jobs, tasks
from annotation.import_report import ImportReport, batches, checked_lines
from annotation.importing import ImportMode, ImportStopped, import_file
from annotation.jsonl import Line, LineReader, Progress
from annotation.models import Project, PromptImport, User
from annotation.prompt_lines import FIELDS, PromptLine, check_prompt
from annotation.prompt_rows import store_prompts
from annotation.prompt_warnings import warnings_of
from annotation.slots import call_back
from annotation.strict_json import Refused


def import_prompts(  # noqa: PLR0913  by keyword only, and all but two have defaults
    project: Project,
    file: BinaryIO,
    *,
    mode: ImportMode = ImportMode.WHOLE,
    progress: Progress | None = None,
    most_bytes: int | None = None,
    user: User | None = None,
    file_name: str | None = None,
) -> ImportReport:
    """Import the prompts file (JSONL, plain or gzipped) into the project.

    A line that is there already is `unchanged`; a known id with other content is the
    error `changed`, also where only its responses are new. A refused line leaves its
    id free for a corrected one below it. New prompts get their overlap, and those
    with responses their slots in the queue. The file must be seekable: a partial
    import reads it twice. An import that added something is kept as a PromptImport of
    `user`, which can be undone; a worker renders its texts before anybody is shown
    them.

    Raises UnreadableFile for a file that is broken as a whole; nothing is written.
    """
    lines = LineReader(file, progress, most_bytes=most_bytes)
    intake = PromptIntake(project, file_name=file_name or name_of(file), user=user)
    return import_file(project, lines, mode, intake)


def name_of(file: BinaryIO) -> str:
    """What the file is called, without folders; "" for what only lies in memory."""
    name = Path(str(getattr(file, "name", "") or "")).name
    return "".join(letter for letter in name if letter.isprintable())[:200]


class PromptStore:
    """Where an import's new prompts go, and what is remembered of the import itself."""

    def __init__(self, project: Project, *, file_name: str, user: User | None) -> None:
        self._project = project
        self._kept = PromptImport(project=project, file_name=file_name, created_by=user)
        self._first_places: list[int] = []

    def write(self, lines: list[PromptLine]) -> list[int]:
        """Store new prompts; their keys. Raises ImportStopped."""
        if self._kept.pk is None:
            self._kept.save()
        stored = store_prompts(self._project, lines, self._kept)
        if stored.first_place is not None:
            self._first_places.append(stored.first_place)
        return stored.keys

    def settle(self, report: ImportReport) -> None:
        """Keep the counts, and call back who passed the new places. Locks the project.

        The counts are written only while nobody has undone the import: what it would
        add after that could not be undone again. The row is locked by it until the
        commit, and an undoing waits.
        """
        if self._kept.pk is None:
            return
        counts = {
            "imported": report.imported,
            "unchanged": report.unchanged,
            "refused": report.refused,
        }
        kept = PromptImport.objects.filter(pk=self._kept.pk, undone_at__isnull=True)
        if not kept.update(**counts):
            raise ImportStopped(
                "This import was undone while it went on. Nothing more was imported."
            )
        jobs.wake(tasks.render_import, self._kept.pk)
        # While this went on, labelers may have passed the places it took at its start.
        if self._first_places:
            call_back(self._project.pk, to=min(self._first_places))
            self._first_places.clear()


class PromptIntake:
    """Lines of the prompts file."""

    def __init__(self, project: Project, *, file_name: str, user: User | None) -> None:
        self._project = project
        self._store = PromptStore(project, file_name=file_name, user=user)

    def verdicts(
        self, lines: Iterable[Line], report: ImportReport
    ) -> Iterator[list[PromptLine]]:
        """The new prompts of the file. One query a batch."""
        seen: set[str] = set()  # of the lines that were not refused
        fewest = self._project.fewest_responses

        def check(fields: dict[str, object]) -> PromptLine:
            return check_prompt(fields, fewest_responses=fewest)

        for batch in batches(checked_lines(lines, report, FIELDS, check)):
            yield self._new(batch, seen, report)

    def _new(
        self,
        batch: list[tuple[Line, PromptLine]],
        seen: set[str],
        report: ImportReport,
    ) -> list[PromptLine]:
        stored = stored_prompts(self._project, (prompt.id for _, prompt in batch))
        new_lines, new = [], []
        for line, prompt in batch:
            try:
                is_new = _is_new(prompt, stored.get(prompt.id), seen)
            except Refused as error:
                report.refuse(line, error)
                continue
            seen.add(prompt.id)
            if is_new:
                new_lines.append(line)
                new.append(prompt)
            else:
                report.unchanged += 1
        for line, warnings in zip(new_lines, warnings_of(new), strict=True):
            report.take(line, warnings)
        return new

    def write(self, rows: list[PromptLine]) -> None:
        """Store them with their responses and slots."""
        self._store.write(rows)

    def settle(self, report: ImportReport) -> None:
        """See PromptStore."""
        self._store.settle(report)


# One array is a parameter that psycopg and the planner are done with in a fifth of the
# time of five hundred.
STORED: Final = """
SELECT external_id, line_sha256 FROM annotation_prompt
WHERE project_id = %s AND external_id = ANY(%s)
"""


def stored_prompts(project: Project, ids: Iterable[str]) -> dict[str, str]:
    """What lines with these ids said that are stored: hash by id. One query."""
    with connection.cursor() as cursor:
        cursor.execute(STORED, [project.pk, list(ids)])
        return dict(cursor.fetchall())


def _is_new(
    prompt: PromptLine, stored_sha256: str | None, seen: Collection[str]
) -> bool:
    """Whether the prompt is to be stored; False if it is already, as it stands here.

    Raises Refused for an id that a line above holds, or the database with other
    content.
    """
    if prompt.id in seen:
        raise Refused("duplicate_id", f"the prompt {prompt.id!r} stands above already")
    if stored_sha256 is not None and not prompt.is_stored_as(stored_sha256):
        raise Refused(
            "changed",
            f"the prompt {prompt.id!r} is stored with other content; stored"
            " prompts never change: give the new one another id",
        )
    return stored_sha256 is None
