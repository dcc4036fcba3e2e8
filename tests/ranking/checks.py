"""Prompts that teach or test, and their hand-out without a queue."""

import random
from typing import Any
from uuid import uuid4

from django.db.models.functions import Now

from annotation.direct import next_direct
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Purpose,
)
from annotation.shown import as_shown
from ranking.models import Ranking
from ranking.submit import Submission, submit
from tests.conftest import make_prompt

GOLD = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}  # five strict pairs


def make_check(
    project: Project, purpose: Purpose, external_id: str = "c1", **fields: Any
) -> Prompt:
    """A prompt with a known order and no slot in the queue."""
    prompt = make_prompt(project, external_id)
    Assignment.objects.filter(prompt=prompt).delete()
    for name, value in ({"purpose": purpose, "gold": GOLD} | fields).items():
        setattr(prompt, name, value)
    prompt.save()
    return prompt


def hand_out(
    labeler: Membership,
    *,
    rng: random.Random | None = None,
    state: AssignmentState = AssignmentState.CLAIMED,
) -> Assignment | None:
    """What `next_direct` offers, as a row that the labeler holds."""
    member = Membership.objects.select_related("project").get(pk=labeler.pk)
    offered = next_direct(member, rng=rng)
    if offered is None:
        return None
    prompt, repeat = offered
    return Assignment.objects.create(
        project=labeler.project,
        prompt=prompt,
        slot=0,
        repeat=repeat,
        source=AssignmentSource.DIRECT,
        state=state,
        labeler=labeler,
        display_order=[2, 0, 3, 1],
        lease_until=Now(),
    )


def answer(assignment: Assignment, ranks: dict[str, int]) -> Ranking:
    """Submit ranks by response id."""
    shown = as_shown(assignment, assignment.prompt.responses.all())
    by_letter = {letter: ranks[r.external_id] for letter, r in shown.items()}
    assert assignment.labeler is not None
    labeler = Membership.objects.get(pk=assignment.labeler.pk)
    submission = Submission(uuid=uuid4(), ranks=by_letter, replace=True)
    return submit(
        membership=labeler, token=assignment.token, submission=submission
    ).ranking
