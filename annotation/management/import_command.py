"""What `import_prompts` and `import_rankings` have in common: a file, a report."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.jsonl import Progress, UnreadableFile
from annotation.management.projects import project_named
from annotation.models import Project

MOST_SHOWN: Final = 20

Import = Callable[[Project, BinaryIO, ImportMode, Progress], ImportReport]


class ImportCommand(BaseCommand):
    """Imports one file into one project and prints the report.

    Exits with 1 when a line was refused: all is well only when all was taken.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """The project, the file and what to do with its good lines."""
        parser.add_argument("slug", help="the project")
        parser.add_argument("file", type=Path, help="JSONL, plain or gzipped")
        parser.add_argument(
            "--dry-run", action="store_true", help="check the file and write nothing"
        )
        parser.add_argument(
            "--partial",
            action="store_true",
            help="import the good lines even when others are refused",
        )
        parser.add_argument(
            "--json", action="store_true", help="print the report as JSON"
        )

    def run(self, import_into: Import, options: dict[str, Any]) -> None:
        """Import, print the report, and fail where a line was refused."""
        mode = ImportMode.PARTIAL if options["partial"] else ImportMode.WHOLE
        if options["dry_run"]:
            mode = ImportMode.DRY_RUN
        report = self._imported(import_into, mode, options)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            self.stdout.write(summary(report))
        if report.refused:
            raise CommandError(outcome(report, mode))
        if not options["json"]:
            self.stdout.write(outcome(report, mode))

    def _imported(
        self, import_into: Import, mode: ImportMode, options: dict[str, Any]
    ) -> ImportReport:
        project = project_named(options["slug"])
        path: Path = options["file"]
        try:
            with (
                path.open("rb") as file,
                tqdm(
                    total=path.stat().st_size,
                    unit="B",
                    unit_scale=True,
                    disable=not sys.stderr.isatty(),
                ) as bar,
            ):
                return import_into(
                    project, file, mode, lambda read: bar.update(read - bar.n)
                )
        except (OSError, UnreadableFile) as error:
            raise CommandError(f"{path}: {error}") from error


def summary(report: ImportReport) -> str:
    """The first problems, one a line, and how many more there are."""
    problems = report.as_json()["problems"]
    rows = [
        f"line {problem['line']} (byte {problem['byte_offset']})  {problem['level']}"
        f"  {problem['code']}: {problem['message']}"
        for problem in problems[:MOST_SHOWN]
    ]
    more = report.refused + report.warnings - len(rows)
    if more > 0:
        rows.append(f"… and {more} more; --json lists them")
    rows.append(
        f"{report.lines} lines: {report.imported} good to import,"
        f" {report.unchanged} unchanged, {report.refused} refused;"
        f" {report.warnings} warnings"
    )
    return "\n".join(rows)


def outcome(report: ImportReport, mode: ImportMode) -> str:
    """What happened, in one sentence."""
    refused = f"{report.refused} of {report.lines} lines were refused"
    if mode is ImportMode.DRY_RUN:
        found = f"; {refused}" if report.refused else ""
        return f"Dry run: nothing was written{found}."
    if not report.refused:
        return f"{report.imported} imported."
    if mode is ImportMode.PARTIAL:
        return f"{refused}; the other {report.imported} new lines were imported."
    return (
        f"{refused}, so nothing was imported. Correct them, or import the good lines"
        " with --partial."
    )
