"""Asks for responses: generation runs as rows, and what the pages show of them.

The work itself is in `answering`.
"""

from dataclasses import asdict
from pathlib import Path

from django.conf import settings as site
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation import jobs, tasks
from annotation.jobs import UNFINISHED, JobState, waits_long
from annotation.models import GenerationRun, Project, Prompt, User
from annotation.sampling import GenerationSettings

ONE_AT_A_TIME = "one_generation_at_a_time_per_project"


class GenerationRefusedError(Exception):
    """Responses cannot be asked for now; the message says why and what to do."""


class NothingWaitsError(GenerationRefusedError):
    """No prompt of the project waits for responses."""


def request_generation(
    project: Project, *, settings: GenerationSettings, user: User | None
) -> GenerationRun:
    """Queue a run and wake a worker; the row is there first.

    Errors: GenerationRefusedError while another run of the project is unfinished;
    NothingWaitsError when no prompt waits.
    """
    with transaction.atomic():
        run = new_run(project, settings=settings, user=user)
        jobs.wake(tasks.generate_responses, run.pk)
        return run


@transaction.atomic
def new_run(
    project: Project, *, settings: GenerationSettings, user: User | None
) -> GenerationRun:
    """A queued run that nobody was told of, for a caller that does the work itself.

    Its settings become the project's, for the next time. A run whose worker vanished
    gives way. Errors: as of `request_generation`; the constraint decides between two
    simultaneous requests.
    """
    waiting = Prompt.objects.filter(project=project).awaiting_responses().count()
    if not waiting:
        raise NothingWaitsError("No prompt waits for responses.")
    _retire_abandoned(project)
    try:
        with transaction.atomic():
            run = GenerationRun.objects.create(
                project=project,
                created_by=user,
                settings=settings.as_json(),
                prompts_total=min(waiting, settings.limit or waiting),
            )
    except IntegrityError as error:
        if ONE_AT_A_TIME not in str(error):
            raise
        raise GenerationRefusedError(
            "Responses are being generated for this project already. Wait until that"
            " run is done, or cancel it on the project's page."
        ) from error
    Project.objects.filter(pk=project.pk).update(
        sft_model=settings.model, **asdict(settings.sampling)
    )
    return run


def _retire_abandoned(project: Project) -> None:
    GenerationRun.objects.filter(
        project=project, state=JobState.RUNNING, lease_until__lt=Now()
    ).update(
        state=JobState.FAILED,
        reason="worker_lost: the worker vanished, and a new run was asked for",
        finished_at=Now(),
    )


def cancel_generation(project: Project) -> bool:
    """Stop the project's unfinished run; what it wrote stays. False: there is none."""
    runs = GenerationRun.objects.filter(project=project, state__in=UNFINISHED)
    return any(run.cancel() for run in runs)


def failed_prompts(project: Project) -> QuerySet[Prompt]:
    """Prompts for which no responses could be sampled, newest first."""
    failed = Prompt.objects.filter(project=project).exclude(failure="")
    return failed.order_by("-pk")


def forgive_failures(project: Project) -> int:
    """Let prompts whose sampling failed wait again; how many."""
    return failed_prompts(project).update(failure="")


def latest_run(project: Project) -> GenerationRun | None:
    """The project's newest run, with who asked for it. One query.

    It has `waits_long`, as `annotation.jobs` says.
    """
    return (
        GenerationRun.objects.filter(project=project)
        .select_related("created_by")
        .annotate(waits_long=waits_long())
        .order_by("-pk")
        .first()
    )


def models_on_offer(project: Project) -> list[tuple[str, str]]:
    """What a page may sample from: (name, label).

    The model that an operator named on the command line, and the causal LMs below
    MODEL_ROOT. A page never takes a path or a hub id that somebody typed.
    """
    names = [project.sft_model] if project.sft_model else []
    names += sorted(_local_models() - set(names))
    return [(name, Path(name).name if name.startswith("/") else name) for name in names]


def _local_models() -> set[str]:
    """Directories directly below MODEL_ROOT that look like a model."""
    root = site.MODEL_ROOT
    found = (*root.glob("*/config.json"), *root.glob("*/*.gguf"))
    return {file.parent.name for file in found if not file.parent.name.startswith(".")}
