"""A project in which twelve people have worked for three months, to look at.

They differ in care and habits: what each does wrong stands in LABELERS, so that the
pages can be held against it. Some work is left, some of it held, skipped or taken out;
there are gold prompts, repeats, two versions of the instructions, and two datasets.
"""

from dataclasses import replace
from datetime import timedelta

import numpy as np
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from django.utils import timezone

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Purpose,
    Qualification,
    SkipReason,
    User,
)
from annotation.queue import open_slots
from annotation.reports import answer_report, report_problem
from annotation.skips import reject_prompt, skip
from annotation.standing import pause
from ranking.datasets import freeze
from ranking.filters import Filters
from ranking.summaries import lock_and_summarize
from tests.conftest import make_prompt
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import store_ranking
from tests.simulated_labelers import Labeler, Setting, Simulation, simulate
from tests.stored_simulation import store

CARELESS, BY_PLACE, BY_LENGTH, TIRING = "Cass", "Dae", "Elif", "Tomás"
HASTY, TIES_ALL, DRIFTS = "Farid", "Gintarė", "Hugo"
LONG_NAME = "Wilhelmina-Alexandrina Featherstonehaugh-Cholmondeley, Ravens"
FOREIGN_NAME = "王小明·夜班"
LABELERS = (
    Labeler(name="Ada Lindqvist", noise=0.3, tie_width=0.1),
    Labeler(name="Björn", noise=0.5, tie_width=0.15),
    Labeler(name=CARELESS, noise=0.6, careless=0.85, seconds_per_word=0.1),
    Labeler(name=BY_PLACE, noise=0.5, tie_width=0.1, position_bias=1.2),
    Labeler(name=BY_LENGTH, noise=0.5, tie_width=0.1, length_bias=0.8),
    Labeler(name=HASTY, noise=0.7, tie_width=0.02, seconds_per_word=0.05),
    Labeler(name=TIES_ALL, noise=0.6, tie_width=0.8),
    Labeler(name=DRIFTS, noise=0.3, tie_width=0.1, drift=0.25),
    Labeler(name=TIRING, noise=0.1, tie_width=0.05, tiring=0.3),
    Labeler(name=LONG_NAME, noise=0.4, tie_width=0.1),
    Labeler(name=FOREIGN_NAME, noise=0.5, tie_width=0.1),
    Labeler(name="Zoë O'Neill", noise=0.6, tie_width=0.05),
)
DAYS = 12 * 5
SITTING = 10
OVERLAP = 3
REPEATS = 0.04  # of the rankings
MORE_DAYS = 4  # that the prompts would last
LEFT = 12  # prompts that came today
GOLD_PROMPTS = 12


def three_months_of_work(
    project: Project, admin: User, *, sitting: int = SITTING
) -> Simulation:
    """Fill a project without prompts; what was simulated, to hold the pages against.

    Everybody makes `sitting` rankings on each of 60 working days, the last of which
    was yesterday; a few prompts are still to be ranked, or are ranked by some.
    """
    project.overlap = OVERLAP
    project.repeat_fraction = 0.05
    project.gold_fraction = 0.02
    project.save()
    simulation = _until_today(simulate(_setting(sitting), seed=11))
    labelers = store(project, simulation)
    prompts = Prompt.objects.filter(project=project)
    prompts.update(created_at=Now() - Value(timedelta(days=90)))
    open_slots(prompts.order_by("pk"))
    with connection.cursor() as cursor:  # as autovacuum would have by now
        cursor.execute("ANALYZE")
    rng = np.random.default_rng(12)
    for one, labeler in zip(LABELERS, labelers, strict=True):
        _rank_gold(project, labeler, one.noise + 4 * one.careless, rng)
    lock_and_summarize(list(prompts.values_list("pk", flat=True)))
    _leave_work(project, labelers, admin)
    freeze(project, user=admin)
    freeze(project, Filters(tags=frozenset({"law"})), user=admin)
    return simulation


def _setting(sitting: int) -> Setting:
    each = int((DAYS + MORE_DAYS) * sitting / (1 + REPEATS))
    today = np.datetime64(timezone.now().date())
    first = today - np.timedelta64(7 * (DAYS // 5) - 2, "D")
    return Setting(
        prompts=each * len(LABELERS) // OVERLAP,
        labelers=LABELERS,
        overlap=OVERLAP,
        ks=(4, 5, 6, 7, 8, 9),
        contrasts=(0.4, 0.8, 1.4),
        tags={"code": 0.3, "law": 0.1, "poems": 0.2, "long conversations": 0.15},
        repeat_share=REPEATS,
        sitting=sitting,
        days_per_version=DAYS // 2,
        first_day=first.astype("datetime64[s]") + np.timedelta64(9, "h"),
    )


def _until_today(simulation: Simulation) -> Simulation:
    """Without the rankings of days to come, under whatever instructions."""
    done = simulation.submitted_at < np.datetime64(timezone.now().date())
    columns: tuple[str, ...] = (
        "prompt",
        "labeler",
        "repeat",
        "ranks",
        "positions",
        "seconds",
    )
    columns += ("submitted_at", "sitting_place", "version")
    return replace(
        simulation, **{name: getattr(simulation, name)[done] for name in columns}
    )


def _rank_gold(
    project: Project, labeler: Membership, noise: float, rng: np.random.Generator
) -> None:
    """Answer the gold prompts, which the first of all makes, over the last weeks."""
    gold = Prompt.objects.filter(project=project, purpose=Purpose.GOLD)
    if not gold:
        for number in range(GOLD_PROMPTS):
            make_check(project, Purpose.GOLD, f"gold-{number}")
    worth = -np.array(list(GOLD.values()), np.float64)
    for number, prompt in enumerate(gold.order_by("pk")):
        seen = worth + noise * rng.normal(size=len(GOLD))
        ranks = np.argsort(np.argsort(-seen)) + 1
        at = timezone.now() - timedelta(days=3 * number + 1)
        store_ranking(
            prompt,
            labeler,
            dict(zip(GOLD, ranks.tolist(), strict=True)),
            assignment={
                "source": AssignmentSource.DIRECT,
                "display_order": rng.permutation(4).tolist(),
                "closed_at": at,
            },
            submitted_at=at,
            active_seconds=40.0,
        )


def _leave_work(project: Project, labelers: list[Membership], admin: User) -> None:
    """What is still to do, and what stands in its way."""
    left = [
        make_prompt(project, f"left{number}", k=6, slots=OVERLAP)
        for number in range(LEFT)
    ]
    came_with = PromptImport.objects.create(
        project=project, file_name="november.jsonl", created_by=admin, imported=LEFT
    )
    Prompt.objects.filter(pk__in=[prompt.pk for prompt in left]).update(
        came_with=came_with
    )
    for labeler, prompt, reason in zip(labelers, left, SkipReason, strict=False):
        said = "The link in it is dead." if reason is SkipReason.OTHER else ""
        token = _hold(labeler, prompt).token
        skip(membership=labeler, token=token, reason=reason, text=said)
    for labeler, prompt in zip(labelers[4:8], left[4:], strict=False):
        _hold(labeler, prompt)
    reject_prompt(left[-1], reason="It asks for a private address.", user=admin)
    report_problem(labelers[0], text="My hours of last Monday are missing.")
    answered = report_problem(labelers[1], text="A response is cut off.")
    answer_report(answered, answer="It is whole again.", close=True, user=admin)
    pause(labelers[2])
    Membership.objects.filter(pk=labelers[-1].pk).update(
        qualification=Qualification.PENDING, qualification_decided_at=None
    )


def _hold(labeler: Membership, prompt: Prompt) -> Assignment:
    slot = Assignment.objects.filter(prompt=prompt, state=AssignmentState.OPEN)[0]
    Assignment.objects.filter(pk=slot.pk).update(
        state=AssignmentState.CLAIMED,
        labeler=labeler,
        claimed_at=Now(),
        lease_until=Now() + Value(timedelta(minutes=20)),
        display_order=list(range(6)),
    )
    return slot
