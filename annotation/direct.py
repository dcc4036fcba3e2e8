"""Work made for one labeler: training, the test that gates entry, gold and repeats.

None of it is a slot of the queue. To its labeler it looks like everything else.
"""

import random
import secrets
from datetime import timedelta
from typing import Final

from django.db.models import (
    Exists,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Now

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Qualification,
    Response,
)
from annotation.slots import HELD

# What they still remember is no check of how consistent they are.
LATEST_NOT_REPEATED: Final = 10
SINCE_RANKED: Final = timedelta(minutes=30)


def next_direct(
    labeler: Membership, *, rng: random.Random | None = None
) -> tuple[Prompt, int] | None:
    """The prompt that this labeler gets before any of the queue, and its repeat.

    While their qualification is pending: training prompts in the order of their
    import, then, if the project has a threshold, the qualification prompts; each
    once. After the last one without a threshold they have passed, which is stored
    here, on the row and on `labeler`. With a threshold they stay pending, and None
    means that they wait for a decision: there is no other work for them.

    Once they passed: a gold prompt they have not had, or a prompt they ranked before
    (and not lately), each at the project's share of what is served, drawn by `rng`,
    by default one that nobody can guess. None: the queue's turn.

    Needs the lock of the membership, as `claim` holds it. No query for who passed
    where both shares are 0, and for most claims elsewhere; else at most five, each by
    an index, however many prompts there are.
    """
    if labeler.qualification == Qualification.PENDING:
        return _entry(labeler)
    if labeler.qualification == Qualification.FAILED:
        return None
    gold, repeated = labeler.project.gold_fraction, labeler.project.repeat_fraction
    if not gold and not repeated:
        return None
    rng = rng or secrets.SystemRandom()
    drawn = rng.random()
    if drawn < gold:
        return _gold(labeler, rng)
    return _repeat(labeler, rng) if drawn < gold + repeated else None


def is_checked_first(labeler: Membership) -> bool:
    """Whether training or the test has something left for a labeler who is pending:
    prompts that they have not had, or still hold. At most two queries."""
    done_with = Assignment.objects.filter(
        ~Q(state__in=HELD), labeler=labeler, prompt=OuterRef("pk")
    )
    return any(
        served_checks(labeler.project, purpose).filter(~Exists(done_with)).exists()
        for purpose in _entry_purposes(labeler)
    )


def _entry_purposes(labeler: Membership) -> list[Purpose]:
    tested = labeler.project.qualification_threshold is not None
    return [Purpose.TRAINING, *([Purpose.QUALIFICATION] if tested else [])]


def _entry(labeler: Membership) -> tuple[Prompt, int] | None:
    purposes = _entry_purposes(labeler)
    for purpose in purposes:
        prompt = _not_had(labeler, purpose).order_by("pk").first()
        if prompt is not None:
            return prompt, 0
    if Purpose.QUALIFICATION not in purposes:
        _let_in(labeler)
    return None


def _let_in(labeler: Membership) -> None:
    """Nothing tests them. An admin's decision of this moment stays.

    Not while they still have the last of the training before them, which they may give
    back: then this is a look ahead.
    """
    in_training = Assignment.objects.filter(
        project=labeler.project_id,
        labeler=labeler.pk,
        source=AssignmentSource.DIRECT,
        state__in=HELD,
    )
    waiting = Membership.objects.filter(
        ~Exists(in_training), pk=labeler.pk, qualification=Qualification.PENDING
    )
    if waiting.update(
        qualification=Qualification.PASSED, qualification_decided_at=Now()
    ):
        labeler.qualification = Qualification.PASSED
    else:
        labeler.refresh_from_db(fields=["qualification"])


def served_checks(project: Project, purpose: Purpose) -> QuerySet[Prompt]:
    """Prompts of a purpose that can be handed out: by the index `prompt_checks`."""
    return Prompt.objects.filter(
        Exists(Response.objects.filter(prompt=OuterRef("pk"))),
        project=project,
        purpose=purpose,
        gold__isnull=False,
        rejection__isnull=True,
    )


def _not_had(labeler: Membership, purpose: Purpose) -> QuerySet[Prompt]:
    """Those that never came to this labeler, skipped ones and expired ones included."""
    had = Assignment.objects.filter(labeler=labeler, prompt=OuterRef("pk"))
    return served_checks(labeler.project, purpose).filter(~Exists(had))


def _gold(labeler: Membership, rng: random.Random) -> tuple[Prompt, int] | None:
    """Any of the rest, so that labelers cannot tell each other which one is next."""
    left = list(_not_had(labeler, Purpose.GOLD).order_by("pk").values_list("pk"))
    return (Prompt.objects.get(pk=rng.choice(left)[0]), 0) if left else None


def _repeat(labeler: Membership, rng: random.Random) -> tuple[Prompt, int] | None:
    """The first of their prompts from a random place on, round the end of the list."""
    ends = _ranked_by(labeler).aggregate(first=Min("prompt"), last=Max("prompt"))
    if ends["first"] is None:
        return None
    place = rng.randint(ends["first"], ends["last"])
    theirs = _may_be_repeated(labeler)
    chosen = (
        theirs.filter(prompt__gte=place).first()
        or theirs.filter(prompt__lt=place).first()
    )
    if chosen is None:
        return None
    taken = Assignment.objects.filter(labeler=labeler, prompt=chosen)
    last = taken.aggregate(last=Max("repeat"))["last"]
    return Prompt.objects.get(pk=chosen), last + 1


def _ranked_by(labeler: Membership) -> QuerySet[Assignment]:
    """Rows whose ranking by this labeler counts."""
    return Assignment.objects.filter(labeler=labeler, state=AssignmentState.COMPLETED)


def _may_be_repeated(labeler: Membership) -> QuerySet[Assignment, int]:
    """Keys of prompts, in their order. Only work comes from the queue.

    No join with the prompts, which a planner may begin with them, all of them. What
    they hold while something is loaded ahead for them is at most one claimed row.
    """
    ranked = _ranked_by(labeler)
    lately = ranked.filter(closed_at__gt=Now() - Value(SINCE_RANKED)).values("prompt")
    latest = ranked.order_by("-closed_at").values("prompt")[:LATEST_NOT_REPEATED]
    held = Assignment.objects.filter(
        project=labeler.project_id, labeler=labeler, state=AssignmentState.CLAIMED
    ).values("prompt")
    out = PromptRejection.objects.filter(prompt=OuterRef("prompt"))
    return (
        ranked.filter(
            ~Q(prompt__in=lately) & ~Q(prompt__in=latest) & ~Q(prompt__in=held),
            ~Exists(out),
            repeat=0,
            source=AssignmentSource.QUEUE,
        )
        .order_by("prompt")
        .values_list("prompt", flat=True)
    )
