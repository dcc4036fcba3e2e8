"""`manage.py train_reward_model`: the trainer that the Celery job runs, by hand."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Never, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from ranking.export.folder import write
from ranking.models import Dataset
from rm_training.config import (
    DTYPES,
    LABELS,
    LOSSES,
    PAIR_WEIGHTS,
    TIES,
    ConfigError,
    TrainingConfig,
)
from rm_training.data import DataError, Example, read_examples
from rm_training.errors import RunError
from rm_training.listener import (
    Evaluation,
    SilentListener,
    StepReport,
    TrainingResult,
)

# field of TrainingConfig → (type, choices, help); the defaults are the config's own
OPTIONS: Final[Mapping[str, tuple[type, Sequence[str] | None, str]]] = {
    "loss": (str, LOSSES, "mean over prompts, or over all pairs"),
    "ties": (str, TIES, "drop ties, or take them as half a win each way"),
    "labels": (str, LABELS, "every labeler's pair, or the share who prefer it"),
    "pair_weight": (str, PAIR_WEIGHTS, "equal, or as many as the ranks are apart"),
    "margin": (float, None, "lead of the winner, in nats per rank between the two"),
    "centering": (float, None, "coefficient that keeps rewards near zero"),
    "lr": (float, None, "peak learning rate"),
    "weight_decay": (float, None, "of AdamW"),
    "warmup": (float, None, "share of the steps with a rising learning rate"),
    "final_lr": (float, None, "where the cosine ends, as a share of the peak"),
    "clip": (float, None, "largest norm of the gradient"),
    "epochs": (int, None, "passes over the training prompts"),
    "max_steps": (int, None, "optimizer steps at most"),
    "prompts_per_step": (int, None, "prompts in one optimizer step"),
    "prompts_per_pass": (int, None, "prompts in one forward pass: bounds memory"),
    "max_length": (int, None, "tokens of prompt and response together"),
    "max_prompt_tokens": (int, None, "tokens of the prompt; its oldest are cut"),
    "lora_rank": (int, None, "rank of low-rank adapters; 0: all weights learn"),
    "gradient_checkpointing": (bool, None, "less memory, more time"),
    "eval_every": (int, None, "steps between held-out evaluations"),
    "checkpoint_every": (int, None, "steps between checkpoints; 0: none"),
    "checkpoints_kept": (int, None, "newest checkpoints on disk"),
    "patience": (int, None, "evaluations without a better one before it stops"),
    "reference": (str, None, "JSONL of responses whose mean reward becomes 0"),
    "seed": (int, None, "of the head's first weights and the order of prompts"),
    "dtype": (str, DTYPES, "of the trunk's arithmetic"),
    "device": (str, None, "auto, cpu, cuda, cuda:1"),
}

DEFAULTS: Final = TrainingConfig()


class Command(BaseCommand):
    """With --data it never touches the database: it runs on GPU machines too."""

    help = (
        "Train a reward model on an exported rankings folder or file: learns on train, "
        "keeps what was best on valid1, reports valid2."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The data, the base, the output folder, and every field of the config."""
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument(
            "--data",
            type=Path,
            metavar="PATH",
            help="an export folder (--kind rankings), or its rankings.jsonl(.gz)",
        )
        source.add_argument(
            "--dataset", metavar="ID", help="a frozen dataset of this site: ds-…"
        )
        parser.add_argument(
            "--base", required=True, metavar="DIR_OR_ID", help="the SFT model"
        )
        parser.add_argument(
            "--out", required=True, type=Path, metavar="DIR", help="made; must be empty"
        )
        parser.add_argument(
            "--seeds",
            type=int,
            default=1,
            metavar="N",
            help="train from N seeds one after the other and keep the best on valid1",
        )
        for name, (kind, choices, text) in OPTIONS.items():
            flag, default = f"--{name.replace('_', '-')}", getattr(DEFAULTS, name)
            if kind is bool:
                parser.add_argument(flag, action="store_true", default=None, help=text)
                continue
            shown = "none" if default is None else default
            parser.add_argument(
                flag, type=kind, choices=choices, help=f"{text} (default: {shown})"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the final accuracy with its n; one line on stderr where it fails."""
        # --help and usage errors should not wait seconds for torch.
        from rm_training.processes import speaks_for_all  # noqa: PLC0415

        try:
            told = _train(options)
        except ConfigError as error:
            raise CommandError(str(error), returncode=2) from error
        except (RunError, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as interrupt:
            raise CommandError(
                "interrupted; the same command goes on from the last checkpoint, if any"
            ) from interrupt
        if speaks_for_all():
            self.stdout.write(told)


def _train(options: Mapping[str, Any]) -> str:
    """Trains from one seed or from several; what to print of it."""
    from rm_training.checkpoint import discard_checkpoints  # noqa: PLC0415
    from rm_training.processes import speaks_for_all  # noqa: PLC0415
    from rm_training.seeds import spread, train_seeds  # noqa: PLC0415
    from rm_training.trainer import train  # noqa: PLC0415

    config, out = config_of(options), options["out"]
    examples = examples_of(options)

    def train_one(config: TrainingConfig, folder: Path) -> TrainingResult:
        with TerminalListener(sys.stderr) as listener:
            return train(
                examples,
                base=options["base"],
                out=folder,
                config=config,
                listener=listener,
            )

    if options["seeds"] < 1:
        raise ConfigError(
            f"seeds must be a whole number from 1, got {options['seeds']}"
        )
    if options["seeds"] == 1:
        result = train_one(config, out)
        if speaks_for_all():
            discard_checkpoints(out)
        return summary(result)
    best, results = train_seeds(
        train_one, config=config, count=options["seeds"], out=out
    )
    return (
        f"{out}: seed {best.seed} was best on valid1: {_accuracy(best.valid1)}\n"
        f"valid2 (reported once): {_accuracy(best.valid2)}\n"
        f"valid1 over the seeds: {spread(results, 'valid1')}\n"
        f"valid2 over the seeds: {spread(results, 'valid2')}"
    )


def examples_of(options: Mapping[str, Any]) -> list[Example]:
    """The prompts that the options name; a dataset is written aside and read back, so
    that both sources train alike. Raises DataError."""
    if options["data"]:
        return read_examples(options["data"])
    dataset = Dataset.objects.filter(name=options["dataset"]).first()
    if dataset is None:
        raise DataError(f"there is no dataset {options['dataset']!r}")
    with tempfile.TemporaryDirectory() as folder:
        write(dataset, kind="rankings", out=Path(folder) / "data")
        return read_examples(Path(folder) / "data")


def config_of(options: Mapping[str, Any]) -> TrainingConfig:
    """The config with the options that were given. Raises ConfigError."""
    given = {name: options.get(name) for name in OPTIONS}
    return TrainingConfig.from_dict(
        {name: value for name, value in given.items() if value is not None}
    )


def summary(result: TrainingResult) -> str:
    """What the command prints at the end."""
    return (
        f"{result.folder}: {result.steps} steps, kept step {result.best_step}\n"
        f"valid1 (selected on): {_accuracy(result.valid1)}\n"
        f"valid2 (reported once): {_accuracy(result.valid2)}"
    )


class TerminalListener(SilentListener):
    """Notes and evaluations a line each, with a progress bar on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """The bar learns its length with the first step."""
        self.stream = stream
        self.bar: tqdm[Never] = tqdm(unit=" steps", file=stream, disable=None)

    def __enter__(self) -> "TerminalListener":
        """Nothing to do: the bar is there."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leaves the terminal clean, whatever happened."""
        self.bar.close()

    def on_step(self, report: StepReport) -> None:
        """Moves the bar."""
        self.bar.total = report.total_steps
        self.bar.set_postfix(loss=f"{report.loss:.4f}", refresh=False)
        self.bar.update(report.step - self.bar.n)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """One line."""
        self._say(
            f"step {evaluation.step}, {evaluation.split}: {_accuracy(evaluation)}"
        )

    def on_note(self, note: str) -> None:
        """One line."""
        self._say(note)

    def _say(self, line: str) -> None:
        self.bar.write(line, file=self.stream)


def _accuracy(evaluation: Evaluation | None) -> str:
    if evaluation is None or evaluation.accuracy is None:
        return "accuracy undefined (no strictly ordered pair)"
    return (
        f"accuracy {100 * evaluation.accuracy:.1f} % (n = {evaluation.counts.n} pairs "
        f"of {evaluation.prompts} prompts)"
    )
