"""A project whose rankings a tiny model can learn in a second: thanks win."""

import dataclasses
from collections.abc import Callable
from typing import Any

from django.db import transaction

from annotation.models import Membership, Project, Prompt, Response
from ranking.models import Dataset, PromptSplit
from rm_training.config import TrainingConfig
from rm_training.models import TrainingRun
from rm_training.runs import request_run
from tests.preferences import polite_preferences
from tests.ranking.rows import store_ranking

QUICK = TrainingConfig(
    lr=1e-3, prompts_per_step=4, epochs=2, eval_every=2, checkpoint_every=2
)
"""16 training prompts: 8 steps, well under a second."""
STEPS = 8


@transaction.atomic
def rank_politely(project: Project, labeler: Membership, *, prompts: int = 20) -> None:
    """Prompts that the labeler ranked; four fifths are train, the rest held out.

    The splits are fixed beforehand: those that a project draws are its own secret.
    """
    for example in polite_preferences(prompts):
        assert example.split is not None
        prompt = Prompt.objects.create(
            project=project,
            external_id=example.prompt_id,
            messages=list(example.messages),
            line_sha256="0" * 64,
        )
        Response.objects.bulk_create(
            Response(prompt=prompt, external_id=key, text=text)
            for key, text in zip(example.response_ids, example.responses, strict=True)
        )
        PromptSplit.objects.create(
            prompt=prompt, group=example.prompt_id, split=example.split
        )
        ranks = dict(zip(example.response_ids, example.rankings[0], strict=True))
        store_ranking(prompt, labeler, ranks)


def dataset_of(run: TrainingRun) -> Dataset:
    """What the run learns from, where it is frozen."""
    assert run.dataset is not None
    return run.dataset


def new_run(project: Project, **changes: Any) -> TrainingRun:
    """A queued run of QUICK settings, or these in their place."""
    config = dataclasses.replace(QUICK, **changes)
    return request_run(project, user=None, base_model=project.sft_model, config=config)


def at_question(number: int, act: Callable[[], object]) -> Callable[[], bool]:
    """Does something between steps: question n is asked before step n. What `act`
    gives is the answer; no other question is answered with yes."""
    asked = iter(range(1, 10_000))

    def stopping() -> bool:
        return bool(act()) if next(asked) == number else False

    return stopping
