"""`manage.py import_rankings SLUG FILE`."""

from functools import partial
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.jsonl import Progress
from annotation.management.import_command import ImportCommand
from annotation.models import Project
from ranking.foreign import csv_table
from ranking.foreign.formats import FORMATS
from ranking.foreign_imports import import_foreign
from ranking.imports import import_rankings


class Command(ImportCommand):
    """Imports rankings made elsewhere."""

    help = (
        "Import rankings made elsewhere from a JSONL or JSONL.gz file; their prompts"
        " must be in the project. With --from, a file of another tool: its prompts and"
        " rankings come in together (pairs need a project made with --archive). With a"
        " bad line nothing is imported, unless --partial."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The project, the file, what to do with its good lines, and its format."""
        super().add_arguments(parser)
        parser.add_argument(
            "--from",
            dest="shape",
            choices=sorted(FORMATS),
            help="; ".join(
                f"{name}: {FORMATS[name].label}" for name in sorted(FORMATS)
            ),
        )
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="OURS=THEIRS",
            help="with --from csv: what the file calls a column, prompt=Question",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and report."""
        if options["column"] and options["shape"] != csv_table.NAME:
            raise CommandError("--column goes with --from csv", returncode=2)
        try:
            columns = csv_table.columns_of(options["column"])
        except ValueError as error:
            raise CommandError(f"--column: {error}", returncode=2) from error
        self.run(partial(_import, options["shape"], columns), options)


def _import(  # noqa: PLR0913  the last four are what every import is called with
    shape: str | None,
    columns: dict[str, str],
    project: Project,
    file: BinaryIO,
    mode: ImportMode,
    progress: Progress,
) -> ImportReport:
    if shape is None:
        return import_rankings(project, file, mode=mode, progress=progress)
    return import_foreign(
        project, file, shape=shape, mode=mode, progress=progress, columns=columns
    )
