"""`manage.py evaluate_reward_model`: what a reward model is worth, as JSON and HTML."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from rm_training.config import DTYPES, ConfigError
from rm_training.data import SPLITS, Example, data_sha256, read_examples
from rm_training.errors import RunError
from rm_training.evaluation.choice import ALL, chosen_splits
from rm_training.evaluation.page import page_of
from rm_training.evaluation.report import report as suite
from rm_training.evaluation.stored import EVALUATION, read_evaluation
from rm_training.evaluation.words import figure, percent, said
from rm_training.management.commands.train_reward_model import TerminalListener
from rm_training.manifest import check_output, publishing
from rm_training.rewardbench import Question, read_questions, rewardbench_report

if TYPE_CHECKING:
    from rm_training.scoring import RewardModel


class Command(BaseCommand):
    """Never touches the database: it runs on GPU machines too."""

    help = (
        "Evaluate a reward model on an exported rankings folder or file, and on "
        "RewardBench 2 where its file is given. With --out, "
        "evaluation.json and evaluation.html (figures included, no other file needed); "
        "without it, the JSON on stdout."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The model, the data, what of it, and where the report goes."""
        parser.add_argument("--model", required=True, type=Path, metavar="DIR")
        parser.add_argument(
            "--data",
            type=Path,
            metavar="PATH",
            help="an export folder (--kind rankings), or its rankings.jsonl(.gz)",
        )
        parser.add_argument(
            "--rewardbench",
            type=Path,
            metavar="FILE",
            help="RewardBench 2 on this disk, as it is distributed (.parquet) or the "
            "same rows as JSONL(.gz); beside --data or instead of it",
        )
        parser.add_argument(
            "--split",
            action="append",
            choices=[*SPLITS, ALL],
            help="may be repeated (default: valid1 and valid2; all, where the data has "
            "no split column and is not what the model was trained on)",
        )
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help="made; must be empty"
        )
        parser.add_argument(
            "--folds",
            metavar="BASE",
            help="train five models from this base (directory or hub id), with the "
            "model's own configuration, each without a fifth of the labelers, and "
            "compare labelers that were learned from with those that were not",
        )
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
        parser.add_argument(
            "--dtype", choices=DTYPES, default="float32", help="of the trunk"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Scores each response once; a bar on stderr where that is a terminal."""
        out: Path | None = options["out"]
        if not (options["data"] or options["rewardbench"]):
            raise CommandError("--data or --rewardbench is needed", returncode=2)
        if options["folds"] and not options["data"]:
            raise CommandError("--folds needs --data", returncode=2)
        try:
            if out:
                check_output(out)  # before minutes of work as well as after them
            report = _report(options)
            if out is None:
                self.stdout.write(json.dumps(report, indent=1, allow_nan=False))
                return
            with publishing(out) as folder:
                text = json.dumps(report, indent=1, allow_nan=False)
                (folder / EVALUATION).write_text(text + "\n")
                (folder / "evaluation.html").write_text(page_of(report))
        except ConfigError as error:
            raise CommandError(str(error), returncode=2) from error
        except (RunError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(summary(report))
        self.stdout.write(f"{out / 'evaluation.html'}: every number, with figures")


def _report(options: Mapping[str, Any]) -> dict[str, Any]:
    """All parts that are asked for; every file is read before anything is scored."""
    # --help and usage errors should not wait seconds for torch.
    from rm_training.scoring import RewardModel  # noqa: PLC0415

    examples = read_examples(options["data"]) if options["data"] else []
    questions = read_questions(options["rewardbench"]) if options["rewardbench"] else []
    model = RewardModel.load(options["model"], device=options["device"])
    return {
        "model": options["model"].resolve().name,
        "data_sha256": data_sha256(examples) if examples else None,
        "dtype": options["dtype"],
        **_heldout(options, examples, model),
        "folds": _folds(options, examples, model.meta),
        "rewardbench2": _rewardbench(model, questions) if questions else None,
    }


def _rewardbench(model: "RewardModel", questions: list[Question]) -> dict[str, Any]:
    with _bar(len(questions)) as bar:
        return rewardbench_report(model, questions, after=bar.update)


def _bar(prompts: int) -> "tqdm[Any]":
    return tqdm(total=prompts, unit=" prompts", file=sys.stderr, disable=None)


def _heldout(
    options: Mapping[str, Any], examples: list[Example], model: "RewardModel"
) -> dict[str, Any]:
    """The suite on the splits of the rankings; without any, an empty one."""
    from rm_training.judging import HeldOut, evaluation_of, rewards_of  # noqa: PLC0415

    if not examples:
        return {**suite({}), "left_out": {}, "invariances": []}
    heldout = HeldOut.of(_splits(options, examples, model.meta), model.encoder)
    bfloat16 = options["dtype"] == "bfloat16"
    with _bar(len(heldout)) as bar:
        rewards = {
            name: rewards_of(
                model.model, prompts, bfloat16=bfloat16, after_pass=bar.update
            )
            for name, prompts in heldout.splits.items()
        }
    return evaluation_of(
        model.model, heldout, rewards, temperature=_temperature(options["model"])
    )


def _folds(
    options: Mapping[str, Any], examples: list[Example], meta: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Five more trainings, where they are asked for."""
    if not options["folds"]:
        return None
    from rm_training.held_out_labelers import held_out_labelers  # noqa: PLC0415

    with TerminalListener(sys.stderr) as listener:
        return held_out_labelers(
            examples,
            base=options["folds"],
            config={**meta["config"], "device": options["device"]},
            listener=listener,
        )


def _splits(
    options: Mapping[str, Any], examples: list[Example], meta: Mapping[str, Any]
) -> dict[str, list[Example]]:
    own = data_sha256(examples) == meta.get("data", {}).get("sha256")
    return chosen_splits(examples, asked=options["split"], trained_on_it=own)


def _temperature(model: Path) -> dict[str, Any] | None:
    """Fitted when the model was trained; None where its folder has no evaluation."""
    stored = read_evaluation(model)
    return stored and stored["temperature"]


def summary(report: Mapping[str, Any]) -> str:
    """What the command prints at the end: a few lines for each split."""
    lines = []
    for name, split in report["splits"].items():
        accuracy, size = split["accuracy"], split["size"]
        lines += [
            f"{name}: accuracy {said(accuracy['pair_mean'], percent)} of "
            f"{size['strict_pairs']} pairs, {size['prompts']} prompts",
            f"  people with each other: {said(split['labelers']['agreement'], percent)}"
            f"; ECE {said(split['calibration']['ece'], figure)}"
            f"; tau-b {said(split['within_prompt']['tau_b'], figure)}",
        ]
    if folds := report["folds"]:
        lines.append(
            f"labelers learned from: {said(folds['in_group'], percent)}; held out: "
            f"{said(folds['held_out'], percent)} ({folds['count']} folds)"
        )
    if bench := report["rewardbench2"]:
        parts = {"RewardBench 2": bench["overall"], **bench["subsets"]}
        lines += [
            f"{'  ' if name in bench['subsets'] else ''}{name}: {said(part, percent)}"
            for name, part in parts.items()
        ]
    lines += [
        f"{'ok  ' if check['passed'] else 'FAIL'} {check['check']}: rewards change by "
        f"{check['largest']:.2g} at most (tolerance {check['tolerance']:.2g})"
        for check in report["invariances"]
    ]
    return "\n".join(lines)
