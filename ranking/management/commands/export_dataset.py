"""`manage.py export_dataset (SLUG [filters] | --dataset ID) --kind … --out DIR`."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from annotation.management.projects import project_named
from ranking.datasets import NothingToFreeze, freeze
from ranking.export.choice import DISAGREEMENTS, FORMATS, KINDS, SPLITS, ExportRefused
from ranking.export.folder import write
from ranking.filter_words import WORDS, add_filter_arguments, filters_from_options
from ranking.filters import InvalidFilter
from ranking.models import Dataset


class Command(BaseCommand):
    """Freezes a dataset, or takes a frozen one, and writes it to a folder."""

    help = (
        "Freeze the rankings of a project that count (or take a frozen dataset) and"
        " write them to a folder: one data file, manifest.json and README.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Where from, what, and where to."""
        parser.add_argument("slug", nargs="?", help="the project, to freeze it now")
        parser.add_argument("--dataset", metavar="ID", help="a frozen dataset: ds-…")
        parser.add_argument("--kind", choices=tuple(KINDS), required=True)
        parser.add_argument(
            "--format", choices=FORMATS, help="default: jsonl; json for tasks"
        )
        parser.add_argument(
            "--disagreement",
            choices=DISAGREEMENTS,
            default="each",
            help="what becomes of several labelers of a prompt",
        )
        parser.add_argument("--split", choices=SPLITS, default="all")
        parser.add_argument(
            "--out", type=Path, required=True, help="the folder; made if need be"
        )
        parser.add_argument(
            "--json", action="store_true", help="print the manifest as JSON"
        )
        add_filter_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Freeze, write, report."""
        try:
            dataset = _dataset(options)
            with tqdm(unit=" prompts", disable=not sys.stderr.isatty(), delay=2) as bar:
                manifest = write(
                    dataset,
                    kind=options["kind"],
                    format=options["format"] or "",
                    disagreement=options["disagreement"],
                    out=options["out"],
                    split=options["split"],
                    progress=bar.update,
                )
        except InvalidFilter as error:
            raise CommandError(str(error), returncode=2) from error
        except (NothingToFreeze, ExportRefused, OSError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(manifest, indent=2))
        else:
            self.stdout.write(_summary(manifest, options["out"]))


def _dataset(options: dict[str, Any]) -> Dataset:
    if options["dataset"]:
        return _frozen(options)
    if not options["slug"]:
        raise CommandError(
            "name a project, or a frozen dataset with --dataset", returncode=2
        )
    project = project_named(options["slug"])
    return freeze(project, filters_from_options(project, options))


def _frozen(options: dict[str, Any]) -> Dataset:
    given = [name for name in ("slug", *WORDS) if options[name]]
    if given:
        raise CommandError(
            f"--dataset is frozen already: {', '.join(given)} cannot be given with it",
            returncode=2,
        )
    dataset = Dataset.objects.filter(name=options["dataset"]).first()
    if dataset is None:
        raise CommandError(f"there is no dataset {options['dataset']!r}")
    return dataset


def _summary(manifest: dict[str, Any], out: Path) -> str:
    [(name, facts)] = manifest["files"].items()
    counts = manifest["counts"]
    return (
        f"{manifest['dataset_id']}: {counts['prompts']} prompts,"
        f" {counts['rankings']} rankings by {counts['labelers']} labelers,"
        f" {counts['strict_pairs']} strict pairs, {counts['ties_dropped']} ties dropped"
        f"\nwrote {facts['rows']} rows to {out / name}"
    )
