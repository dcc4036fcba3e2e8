"""Does what a generation run asks for: prompts out, responses and open slots in.

The model comes from the caller, so this module knows the ORM but not torch. A prompt
is finished in one transaction together with the run's count, or not at all; a run
that is taken up again goes on with the prompts that still wait.
"""

from collections.abc import Callable, Iterator

import structlog
from django.conf import settings as site
from django.db import DatabaseError, transaction
from django.db.models import F

from annotation.jobs import JobState, KeptLease, LeaseLostError, worker_is_stopping
from annotation.models import GenerationRun, Prompt, Response, Takedown
from annotation.queue import open_slots
from annotation.rendered_prompts import render_prompt
from annotation.sampling import (
    GenerationSettings,
    ModelUnusableError,
    Outcome,
    PromptToAnswer,
    Sampler,
)
from annotation.slots import lock_prompt

log = structlog.get_logger(__name__)

LoadModel = Callable[[str], Sampler]


class _StoppingError(Exception):
    """This worker was told to end."""


def model_source(name: str) -> str:
    """What a loader is given for a model's name: its folder below MODEL_ROOT if it is
    one, else the directory or hub id that an operator wrote."""
    root = site.MODEL_ROOT.resolve()
    folder = (root / name).resolve()
    inside = folder != root and folder.is_relative_to(root) and folder.is_dir()
    return str(folder) if inside else name


def answer_prompts(
    run: GenerationRun,
    *,
    load: LoadModel,
    tell: Callable[[Outcome], object] = lambda outcome: None,
) -> None:
    """Work on a claimed run until it is done, and close it.

    `tell` hears of every prompt that is finished; one that is taken down meanwhile gets
    no responses. A run that was cancelled or lost to
    another worker ends quietly: what was written stays, nothing more is. A worker
    that is told to end gives the run back. A model that cannot be loaded fails the run
    with the reason; so does an error nobody foresaw, which is raised as well.
    """
    try:
        _answer_and_close(run, load=load, tell=tell)
    except LeaseLostError:
        log.info("generation ended by others", run=run.pk, attempt=run.attempt)


def _answer_and_close(
    run: GenerationRun, *, load: LoadModel, tell: Callable[[Outcome], object]
) -> None:
    try:
        with KeptLease(run) as lease:

            def check() -> None:
                lease.check()
                if worker_is_stopping():
                    raise _StoppingError

            _answer_waiting(run, load=load, tell=tell, check=check)
        run.finish(JobState.DONE)
    except _StoppingError:
        run.requeue()
    except ModelUnusableError as error:
        run.finish(JobState.FAILED, str(error))
    except (DatabaseError, LeaseLostError):
        # The row cannot be written now, and its lease will run out; or it is not ours.
        raise
    except Exception as error:
        run.finish(JobState.FAILED, f"{type(error).__name__}: {error}")
        raise


def _answer_waiting(
    run: GenerationRun,
    *,
    load: LoadModel,
    tell: Callable[[Outcome], object],
    check: Callable[[], None],
) -> None:
    settings = GenerationSettings.from_json(run.settings)
    waiting = _waiting(run, settings)
    run.write(prompts_total=run.prompts_done + run.prompts_failed + len(waiting))
    if not waiting:
        return
    model = load(model_source(settings.model))
    for batch in _batches(waiting, model.prompts_at_once):
        check()
        prompts = Prompt.objects.in_bulk(batch)
        asked = [
            PromptToAnswer(prompts[pk].external_id, prompts[pk].messages)
            for pk in batch
        ]
        outcomes = model.sample(asked, settings.sampling, check=check)
        for pk, outcome in zip(batch, outcomes, strict=True):
            if _write(run, prompts[pk], outcome, model=model.name):
                render_prompt(pk)
                tell(outcome)


def _waiting(run: GenerationRun, settings: GenerationSettings) -> list[int]:
    """Prompts that this run has still to answer, oldest first."""
    prompts = Prompt.objects.filter(project=run.project_id).awaiting_responses()
    ids = prompts.order_by("pk").values_list("pk", flat=True)
    if settings.limit is None:
        return list(ids)
    return list(ids[: max(0, settings.limit - run.prompts_done - run.prompts_failed)])


def _batches(ids: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


@transaction.atomic
def _write(run: GenerationRun, prompt: Prompt, outcome: Outcome, *, model: str) -> bool:
    """Finish one prompt: responses, slots and count together; False if there is nothing
    to finish, because it was taken down. Errors: LeaseLostError.

    1. The run's row comes first: fenced by the attempt, and locked until the commit,
       so a worker that lost the run writes nothing.
    2. Then the prompt's lock: it may be taken out or down at this moment. A takedown
       that comes first is seen here; one that comes later finds the responses.
    3. Response ids differ within a prompt, so nothing can come twice.
    """
    run.write()
    locked = lock_prompt(prompt.pk)
    if Takedown.objects.filter(prompt=locked).exists():
        run.write(prompts_total=F("prompts_total") - 1)
        return False
    if outcome.failure:
        run.write(prompts_failed=F("prompts_failed") + 1)
        longest = Prompt._meta.get_field("failure").max_length
        prompt.failure = outcome.failure[:longest]
        prompt.save(update_fields=["failure"])
        return True
    run.write(prompts_done=F("prompts_done") + 1)
    Response.objects.bulk_create(_responses(prompt, outcome, model=model))
    open_slots([locked])
    return True


def _responses(prompt: Prompt, outcome: Outcome, *, model: str) -> list[Response]:
    return [
        Response(
            prompt=prompt,
            external_id=f"r{number}",
            text=response.text,
            model=model,
            params=response.params,
        )
        for number, response in enumerate(outcome.responses, start=1)
    ]
