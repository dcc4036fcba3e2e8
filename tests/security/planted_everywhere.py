"""A project in which every text that anybody can write is hostile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

from django.db.models import Value
from django.db.models.functions import Now

from annotation.models import (
    AssignmentSource,
    GenerationRun,
    Membership,
    ProblemReport,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Role,
    Skip,
    Terms,
    User,
)
from annotation.queue import claim
from ranking.datasets import freeze
from ranking.models import Dataset, Draft
from rm_training.models import TrainingRun
from tests.ranking.rows import store_ranking
from tests.security.planted import plant

RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
MOST_FLAGS = 12


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What the addresses of single things are made of."""

    project: Project
    prompts: list[Prompt]
    labelers: list[Membership]
    held: str  # the token of what alice holds
    trained: str  # that of a training prompt she ranked too long ago to change it
    dataset: Dataset
    run: TrainingRun


def plant_everywhere(
    project: Project, alice: Membership, payloads: Sequence[str]
) -> Planted:
    """Each payload in each kind of text at least once, but for the flags, which are
    few: the last ones. Short columns hold the beginning."""
    admin = User.objects.get(email="admin@example.org")
    text = "\n\n".join(payloads)
    labelers = _labelers(project, payloads)
    prompts = _prompts(project, labelers, payloads, admin)
    _project_texts(project, alice, payloads)
    trained = _trained(project, alice, text)
    _reports(project, alice, payloads, admin)
    dataset = freeze(project)  # which cannot be changed, so here is one like it
    dataset.pk, dataset.name = None, "ds-planted"
    dataset.filters = {"tag": list(payloads)}
    dataset.save(force_insert=True)
    run = TrainingRun.objects.create(
        project=project,
        dataset=dataset,
        base_model=text[:500],
        config={},
        phase=payloads[0][:100],
        state="failed",
        reason=text[:500],
        finished_at=Now(),
    )
    GenerationRun.objects.create(
        project=project, settings={}, state="failed", reason=text[:500]
    )
    plant(project, payloads)
    return Planted(
        project=project,
        prompts=prompts,
        labelers=labelers,
        held=_draft(alice, project, text),
        trained=trained,
        dataset=dataset,
        run=run,
    )


def _trained(project: Project, alice: Membership, text: str) -> str:
    prompt = _prompt(
        project,
        "trained",
        text,
        purpose=Purpose.TRAINING,
        gold=RANKS,
        metadata={"feedback": text},
    )
    direct = {"source": AssignmentSource.DIRECT, "display_order": [0, 1, 2, 3]}
    ranking = store_ranking(
        prompt,
        alice,
        RANKS,
        assignment=direct,
        note=text,
        submitted_at=Now() - Value(timedelta(hours=2)),
    )
    return ranking.assignment.token


def _labelers(project: Project, payloads: Sequence[str]) -> list[Membership]:
    """Members called like the payloads, with addresses that could be."""
    return [
        Membership.objects.create(
            project=project,
            user=User.objects.create(email=f'"{payload[:200]}{n}"@example.org'.lower()),
            name=f"{n} {payload}"[:200],
            role=Role.LABELER,
        )
        for n, payload in enumerate(payloads)
    ]


def _prompts(
    project: Project, labelers: list[Membership], payloads: Sequence[str], admin: User
) -> list[Prompt]:
    """For each payload a prompt that is ranked with a note, and one that was skipped
    with words and taken out."""
    prompts = []
    for n, (labeler, payload) in enumerate(zip(labelers, payloads, strict=True)):
        ranked = _prompt(project, f"{n} {payload}", payload)
        said = {"r1": {"flags": [payload[:60]], "rating": 7}}
        store_ranking(ranked, labeler, RANKS, note=payload, said=said)
        out = _prompt(project, f"out {n} {payload}", payload)
        left = store_ranking(out, labeler, RANKS).assignment
        Skip.objects.create(assignment=left, reason="other", text=payload)
        PromptRejection.objects.create(
            prompt=out, reason=payload[:300], rejected_by=admin
        )
        prompts += [ranked, out]
    return prompts


def _prompt(project: Project, name: str, payload: str, **fields: Any) -> Prompt:
    prompt = Prompt.objects.create(
        project=project,
        external_id=name[:200],
        messages=[{"role": "user", "content": payload}],
        tags=[payload[:100]],
        failure=payload[:300],
        line_sha256="0" * 64,
        **fields,
    )
    for response in RANKS:
        prompt.responses.create(
            external_id=response,
            text=payload,
            model=payload[:500],
            params={payload: payload},
        )
    return prompt


def _project_texts(
    project: Project, alice: Membership, payloads: Sequence[str]
) -> None:
    text = "\n\n".join(payloads)
    Terms.objects.create(project=project, version=1, text=text)
    terms = Terms.objects.get(project=project)
    alice.consent_set.create(terms=terms)
    short = [payload[:60] for payload in payloads]
    flags = list(dict.fromkeys(short))[-MOST_FLAGS:]
    title = max((one for one in payloads if len(one) <= 200), key=len)
    Project.objects.filter(pk=project.pk).update(
        title=title, flags=flags, sft_model=text[:500], rate_first=True
    )
    alice.qualification, alice.qualification_decided_at = "passed", Now()
    alice.save()
    project.refresh_from_db()


def _reports(
    project: Project, alice: Membership, payloads: Sequence[str], admin: User
) -> None:
    """alice's, each with an answer; about prompts called like other payloads."""
    prompts = cycle(Prompt.objects.filter(project=project, rejection__isnull=False))
    for payload, prompt in zip(payloads, prompts, strict=False):
        about = prompt.assignment_set.exclude(labeler=None).first()
        ProblemReport.objects.create(
            project=project,
            reporter=alice,
            assignment=about,
            text=payload,
            answer=payload,
            closed_at=Now(),
            closed_by=admin,
        )


def _draft(alice: Membership, project: Project, text: str) -> str:
    held = claim(Membership.objects.select_related("project").get(pk=alice.pk))
    assert held is not None
    flags = {"A": project.flags}
    content = {"ranks": {"A": 1}, "ratings": {}, "flags": flags, "note": text[:4000]}
    Draft.objects.create(assignment=held, rev=1, content=content)
    return held.token
