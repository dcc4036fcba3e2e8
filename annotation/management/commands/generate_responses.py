"""Samples responses in the foreground, from any causal LM."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings as site
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from tqdm import tqdm

from annotation.answering import answer_prompts
from annotation.generation import (
    GenerationRefusedError,
    NothingWaitsError,
    forgive_failures,
    new_run,
)
from annotation.jobs import JobState
from annotation.management.projects import project_named
from annotation.models import GenerationRun, Project
from annotation.sampling import GenerationSettings, Outcome, SamplingSettings
from annotation.tasks import worker_name

NUMBER_OR_RANGE = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")


def number_or_range(text: str) -> tuple[int, int]:
    """`5` is (5, 5), `4-9` is (4, 9)."""
    match = NUMBER_OR_RANGE.fullmatch(text)
    if not match:
        raise ArgumentTypeError(f"{text!r} is neither a number nor MIN-MAX")
    return int(match[1]), int(match[2] or match[1])


class Command(BaseCommand):
    """`generate_responses SLUG --sft DIR_OR_ID [options]`."""

    help = (
        "Sample K different responses for each prompt of the project SLUG that has"
        " none. What is not given is taken from the project's settings; what is given"
        " becomes its setting."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The sampling settings; their limits are SamplingSettings' own."""
        parser.add_argument("slug")
        parser.add_argument(
            "--sft",
            metavar="DIR_OR_ID",
            help="a causal LM: a directory, a folder of VAR_DIR/models, or a hub id",
        )
        parser.add_argument(
            "-k",
            type=number_or_range,
            metavar="N|MIN-MAX",
            help="responses for a prompt, drawn evenly from the range (4-9)",
        )
        parser.add_argument("--limit", type=int, metavar="N", help="most prompts")
        parser.add_argument("--seed", type=int, metavar="N")
        parser.add_argument("--temperature", type=float, metavar="T")
        parser.add_argument("--top-p", type=float, metavar="P")
        parser.add_argument(
            "--max-new-tokens", type=int, metavar="N", help="longest response"
        )
        parser.add_argument(
            "--retry-failed",
            action="store_true",
            help="try prompts again whose sampling failed before",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Errors: CommandError, one line."""
        project = project_named(options["slug"])
        try:
            run = self._claimed_run(project, _settings(project, options), options)
        except NothingWaitsError as nothing:
            self.stdout.write(str(nothing))
            return
        except GenerationRefusedError as error:
            raise CommandError(str(error)) from error
        failures = _work_on(run)
        self._report(run, failures)

    @transaction.atomic
    def _claimed_run(
        self, project: Project, settings: GenerationSettings, options: dict[str, Any]
    ) -> GenerationRun:
        """A run of this very process: no worker ever sees it waiting."""
        if options["retry_failed"]:
            forgive_failures(project)
        run = new_run(project, settings=settings, user=None)
        claimed = GenerationRun.claim(run.pk, worker=worker_name())
        assert claimed is not None
        return claimed

    def _report(self, run: GenerationRun, failures: list[Outcome]) -> None:
        run.refresh_from_db()
        for failed in failures:
            self.stdout.write(f"{failed.prompt_id}: {failed.failure}")
        summary = f"{run.prompts_done} done, {run.prompts_failed} failed"
        if run.state == JobState.FAILED:
            raise CommandError(f"{run.reason} ({summary})")
        if run.state != JobState.DONE:
            raise CommandError(
                f"the run was cancelled, or a worker took it over ({summary} so far;"
                " what was written stays)."
            )
        self.stdout.write(f"{summary}.")
        if not run.prompts_done:
            raise CommandError("no prompt could be answered; the reasons stand above.")


def _settings(project: Project, options: dict[str, Any]) -> GenerationSettings:
    """What the options say, else what the project says. Errors: CommandError."""
    names = ("temperature", "top_p", "max_new_tokens", "seed")
    values = {name: getattr(project, name) for name in names}
    values |= {name: options[name] for name in names if options[name] is not None}
    k_min, k_max = options["k"] or (project.k_min, project.k_max)
    model = _model_name(options["sft"]) if options["sft"] else project.sft_model
    if not model:
        raise CommandError("name the SFT model: --sft DIR_OR_ID.", returncode=2)
    if options["limit"] is not None and options["limit"] < 1:
        raise CommandError(
            f"--limit is {options['limit']}: it must be 1 or more.", returncode=2
        )
    try:
        sampling = SamplingSettings(k_min=k_min, k_max=k_max, **values)
    except ValueError as error:
        raise CommandError(str(error), returncode=2) from error
    return GenerationSettings(model=model, sampling=sampling, limit=options["limit"])


def _model_name(given: str) -> str:
    """A name that means the same to a worker in another folder: the place below
    MODEL_ROOT, else the whole path of a directory, else the hub id as it is."""
    if not Path(given).is_dir():
        return given
    folder = Path(given).resolve()
    if folder.is_relative_to(site.MODEL_ROOT):
        return folder.relative_to(site.MODEL_ROOT).as_posix()
    return str(folder)


def _work_on(run: GenerationRun) -> list[Outcome]:
    """Do the run's work here; the prompts that failed."""
    # The command samples by itself, so it needs torch; other commands do not.
    from annotation import sft  # noqa: PLC0415

    failures: list[Outcome] = []
    with tqdm(total=run.prompts_total, unit="prompt", disable=None) as bar:

        def tell(outcome: Outcome) -> None:
            bar.update()
            if outcome.failure:
                failures.append(outcome)

        try:
            answer_prompts(run, load=sft.load, tell=tell)
        except KeyboardInterrupt:
            run.cancel()
    return failures
