"""`manage.py score --model DIR`: JSONL on stdin, the same with rewards on stdout."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from rm_training.config import ConfigError
from rm_training.errors import RunError


class Command(BaseCommand):
    """Never touches the database: it runs on GPU machines too."""

    help = (
        'Read JSONL of {"prompt", "responses"} on stdin and write the same lines with '
        '"rewards" (raw logits) and, where the model stores a bias, "normalised".'
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """--model and --device."""
        parser.add_argument("--model", required=True, type=Path, metavar="DIR")
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")

    def handle(self, *args: Any, **options: Any) -> None:
        """A line out for each line in; the first bad one ends it with exit code 1."""
        # --help and usage errors should not wait seconds for torch.
        from rm_training.scoring import RewardModel, score_lines  # noqa: PLC0415

        try:
            model = RewardModel.load(options["model"], device=options["device"])
            scored = score_lines(model, sys.stdin.buffer)
            # None: a bar where stderr is a terminal. Lines on a terminal need no bar.
            without_bar = sys.stdout.isatty() or None
            for line in tqdm(scored, unit=" prompts", disable=without_bar):
                self.stdout.write(line)
        except ConfigError as error:
            raise CommandError(str(error), returncode=2) from error
        except RunError as error:
            raise CommandError(str(error)) from error
