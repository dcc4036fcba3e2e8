"""`manage.py import_rankings SLUG FILE`."""

from typing import Any, BinaryIO

from annotation.import_report import ImportReport
from annotation.imports import ImportMode
from annotation.jsonl import Progress
from annotation.management.import_command import ImportCommand
from annotation.models import Project
from ranking.imports import import_rankings


class Command(ImportCommand):
    """Imports rankings made elsewhere."""

    help = (
        "Import rankings made elsewhere from a JSONL or JSONL.gz file; their prompts"
        " must be in the project. The whole file is checked first; with a bad line"
        " nothing is imported, unless --partial."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and report."""
        self.run(_import, options)


def _import(
    project: Project, file: BinaryIO, mode: ImportMode, progress: Progress
) -> ImportReport:
    return import_rankings(project, file, mode=mode, progress=progress)
