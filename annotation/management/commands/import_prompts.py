"""`manage.py import_prompts SLUG FILE`."""

from typing import Any, BinaryIO

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.imports import import_prompts
from annotation.jsonl import Progress
from annotation.management.import_command import ImportCommand
from annotation.models import Project


class Command(ImportCommand):
    """Imports prompts, with or without responses."""

    help = (
        "Import prompts from a JSONL or JSONL.gz file, with or without responses."
        " The whole file is checked first; with a bad line nothing is imported,"
        " unless --partial."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and report."""
        self.run(_import, options)


def _import(
    project: Project, file: BinaryIO, mode: ImportMode, progress: Progress
) -> ImportReport:
    return import_prompts(project, file, mode=mode, progress=progress)
