"""Prompts from a file: checked as a whole, then written as a whole, or not at all."""

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import BinaryIO, TypeVar

from django.db import transaction

from annotation import jobs, tasks
from annotation.import_report import ImportReport, batches, checked_lines
from annotation.jsonl import Line, LineReader, Progress, UnreadableFile
from annotation.models import Project, Prompt, PromptImport, Response, User
from annotation.overlap import choose_overlap, lock_overlap
from annotation.prompt_lines import FIELDS, PromptLine, check_prompt
from annotation.slots import call_back, make_slots
from annotation.strict_json import Refused

Row = TypeVar("Row")


class ImportMode(Enum):
    """What happens to the good lines."""

    DRY_RUN = "dry run"  # nothing
    WHOLE = "whole"  # written, if no line of the file is refused
    PARTIAL = "partial"  # written


def import_prompts(  # noqa: PLR0913  by keyword only, and all but two have defaults
    project: Project,
    file: BinaryIO,
    *,
    mode: ImportMode = ImportMode.WHOLE,
    progress: Progress | None = None,
    most_bytes: int | None = None,
    user: User | None = None,
) -> ImportReport:
    """Import the prompts file (JSONL, plain or gzipped) into the project.

    A line that is there already is `unchanged`; a known id with other content is the
    error `changed`, also where only its responses are new. A refused line leaves its
    id free for a corrected one below it. New prompts get their overlap, and those
    with responses their slots in the queue. The file must be seekable: it is read
    twice. An import that added something is kept as a PromptImport of `user`, which
    can be undone; a worker renders its texts before anybody is shown them.

    Raises UnreadableFile for a file that is broken as a whole; nothing is written.
    """
    first_places: list[int] = []
    kept = PromptImport(project=project, file_name=name_of(file), created_by=user)

    def write(lines: list[PromptLine]) -> None:
        if lines and kept.pk is None:
            kept.save()
        first_places.extend(_write(project, lines, kept))

    with transaction.atomic():
        report = import_file(
            project,
            LineReader(file, progress, most_bytes=most_bytes),
            mode,
            verdicts=lambda lines, report: _verdicts(project, lines, report),
            write=write,
        )
        if kept.pk is not None:
            kept.imported, kept.unchanged = report.imported, report.unchanged
            kept.refused = report.refused
            kept.save(update_fields=["imported", "unchanged", "refused"])
            jobs.wake(tasks.render_import, kept.pk)
        # While this went on, labelers may have passed the places it took at its start.
        if first_places:
            call_back(project.pk, to=min(first_places))
    return report


def name_of(file: BinaryIO) -> str:
    """What the file is called, without folders; "" for what only lies in memory."""
    name = Path(str(getattr(file, "name", "") or "")).name
    return "".join(letter for letter in name if letter.isprintable())[:200]


def import_file(
    project: Project,
    reader: LineReader,
    mode: ImportMode,
    *,
    verdicts: Callable[[Iterable[Line], ImportReport], Iterator[list[Row]]],
    write: Callable[[list[Row]], None],
) -> ImportReport:
    """Judge the whole file, then write what is new, in one transaction.

    1. Imports into one project, and changes of its overlap, wait for each other (an
       advisory lock, released with the transaction), so both readings find the same
       rows stored, and the overlap is the one in force.
    2. `verdicts` judges all lines into the report and yields the new rows in batches;
       nothing is kept, so the memory stays flat.
    3. In a dry run, or with a refused line (unless PARTIAL), that is all.
    4. The file is read and judged again, and `write` stores each batch. Had the file
       changed in between, everything is rolled back.
    """
    with transaction.atomic():
        lock_overlap(project.pk)
        project.refresh_from_db(fields=["overlap", "overlap_fraction"])
        report = ImportReport()
        for _ in verdicts(reader, report):
            pass
        if mode is ImportMode.DRY_RUN or (report.refused and mode is ImportMode.WHOLE):
            return report
        checked = reader.sha256
        for rows in verdicts(reader, ImportReport()):
            write(rows)
        if reader.sha256 != checked:
            raise UnreadableFile(
                "the file changed while it was read: nothing was imported"
            )
    return report


def _verdicts(
    project: Project, lines: Iterable[Line], report: ImportReport
) -> Iterator[list[PromptLine]]:
    """The new prompts of the file, in batches. One query a batch."""
    seen: set[str] = set()  # of the lines that were not refused

    def check(fields: dict[str, object]) -> PromptLine:
        return check_prompt(fields, fewest_responses=project.fewest_responses)

    for batch in batches(checked_lines(lines, report, FIELDS, check)):
        ids = [prompt.id for _, prompt in batch]
        stored = dict(
            Prompt.objects.filter(project=project, external_id__in=ids).values_list(
                "external_id", "line_sha256"
            )
        )
        new = []
        for line, prompt in batch:
            try:
                is_new = _is_new(prompt, stored.get(prompt.id), seen)
            except Refused as error:
                report.refuse(line, error)
                continue
            seen.add(prompt.id)
            if is_new:
                report.take(line, prompt.warnings())
                new.append(prompt)
            else:
                report.unchanged += 1
        yield new


def _is_new(
    prompt: PromptLine, stored_sha256: str | None, seen: Collection[str]
) -> bool:
    """Whether the prompt is to be stored; False if it is already, as it stands here.

    Raises Refused for an id that a line above holds, or the database with other
    content.
    """
    if prompt.id in seen:
        raise Refused("duplicate_id", f"the prompt {prompt.id!r} stands above already")
    if stored_sha256 is not None and stored_sha256 != prompt.sha256:
        raise Refused(
            "changed",
            f"the prompt {prompt.id!r} is stored with other content; stored"
            " prompts never change: give the new one another id",
        )
    return stored_sha256 is None


def _write(project: Project, lines: list[PromptLine], kept: PromptImport) -> list[int]:
    """Store prompts with their responses and slots; the first new place, if any."""
    prompts = [
        Prompt(
            project=project,
            came_with=kept,
            external_id=line.id,
            messages=line.messages,
            tags=line.tags,
            purpose=line.purpose,
            gold=line.gold,
            metadata=line.metadata,
            priority=line.priority,
            line_sha256=line.sha256,
        )
        for line in lines
    ]
    choose_overlap(project=project, prompts=prompts)
    Prompt.objects.bulk_create(prompts)
    Response.objects.bulk_create(
        Response(
            prompt=prompt,
            external_id=response.id,
            text=response.text,
            model=response.model,
            params=response.params,
        )
        for prompt, line in zip(prompts, lines, strict=True)
        for response in line.responses
    )
    first = make_slots([prompt.pk for prompt in prompts])
    return [] if first is None else [first]
