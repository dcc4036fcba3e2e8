"""A project as it is after weeks of work: everything that a page can show is there,
long names and long texts included."""

from datetime import timedelta
from typing import Any

from django.db.models import Value
from django.db.models.functions import Now
from django.utils import timezone

from annotation.instructions import write_instructions
from annotation.jobs import JobState
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    GenerationRun,
    Membership,
    Prompt,
    PromptImport,
    Purpose,
    Qualification,
    Role,
    SkipReason,
    User,
)
from annotation.queue import open_slots
from annotation.reports import answer_report, report_problem
from annotation.skips import reject_prompt, skip
from annotation.standing import decide_qualification, pause
from annotation.terms import agree, write_terms
from ranking.datasets import freeze
from ranking.models import RankingStatus
from ranking.models.file_imports import FileImport
from ranking.summaries import lock_and_summarize
from rm_training.config import TrainingConfig
from rm_training.evaluation.report import report
from rm_training.models import (
    RewardModel,
    ScoredFile,
    TrainingMetric,
    TrainingRun,
)
from tests.conftest import make_member, make_prompt
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import store_ranking
from tests.rm_training.judged_prompts import world
from tests.test_access_matrix import Cast

LONG_NAME = "Wilhelmina-Alexandrina Featherstonehaugh-Cholmondeley of Ravenscroft"
LONG_WORD = "tide-tables-of-the-north-sea-2026-11-21-batch-000017-question-000000042"
TEXT = """\
## How to rank

1. **Helpful** weighs most, then **true**.
2. A response that breaks off is judged by what is there: `"The moon pulls on the"`.

| what | weight |
|---|--:|
| a wrong sum | 3 |
| an overlong answer that never ends and never says what was asked for | 1 |

```python
range_in_metres = sum(high - low for high, low in zip(highs, lows, strict=True)) / days
```
"""
ORDERS = (
    {"r1": 1, "r2": 2, "r3": 2, "r4": 3},
    {"r1": 1, "r2": 1, "r3": 2, "r4": 3},
    {"r1": 2, "r2": 1, "r3": 4, "r4": 3},
)
COMPARED = 24  # prompts with a ranking of each of three labelers


def _uploaded(cast: Cast) -> FileImport:
    """A file that was looked at, with a line that is refused."""
    problem = {
        "line": 2,
        "byte_offset": 120,
        "level": "error",
        "code": "bad_json",
        "message": f"no JSON at column 7 of {LONG_WORD}",
    }
    return FileImport.objects.create(
        project=cast.project,
        created_by=cast.user("admin"),
        shape="trl",
        file_name=f"{LONG_WORD}.jsonl",
        size=9_000,
        state=JobState.DONE,
        finished_at=Now(),
        lines=3,
        imported=2,
        refused=1,
        problems=[problem],
    )


def furnish(cast: Cast) -> dict[str, dict[str, Any]]:
    """Fill the project of the cast; what the addresses of single things point at."""
    carol = make_member(cast.project, LONG_NAME, Role.LABELER)
    _settle(cast, carol)
    _rank(cast, carol)
    check = _teach(cast, carol)
    prompt = _prompts(cast)
    _report(cast, carol)
    run = _train(cast)
    kept = PromptImport.objects.create(
        project=cast.project,
        file_name=f"{LONG_WORD}.jsonl",
        created_by=cast.user("admin"),
        imported=1,
    )
    Prompt.objects.filter(pk=prompt.pk).update(came_with=kept)
    ranked = cast.project.prompt_set.get(external_id="p3")
    dataset = {"name": freeze(cast.project).name}
    return {
        "undo_import": {"pk": kept.pk},
        "file_import": {"pk": _uploaded(cast).pk},
        "labeler": {"membership_id": cast.labeler.pk},
        "labeler_card": {"membership_id": cast.labeler.pk},
        "withdrawal": {"membership_id": cast.labeler.pk},
        "member_access": {"membership_id": cast.labeler.pk},
        "training_feedback": {"token": check.token},
        "prompt": {"pk": prompt.pk},
        "prompt_consensus": {"pk": ranked.pk},
        "disagreement_prompt": {"pk": ranked.pk},
        "forget_labeler": {"membership_id": cast.labeler.pk},
        "take_prompt_down": {"pk": prompt.pk},
        "dataset": dataset,
        "dataset_diff": dataset,
        "dataset_runs": dataset,
        "run": {"pk": run.pk},
        "scored_file": {"pk": run.reward_model.scored_files.get().pk},
    }


def _settle(cast: Cast, carol: Membership) -> None:
    """Texts, settings, and who stands how."""
    project, admin = cast.project, cast.user("admin")
    assert admin is not None
    project.flags = ["fails the instruction", "hallucination", "harmful"]
    project.labelers_see_agreement = True
    project.qualification_threshold = 0.4
    project.save()
    for text in (TEXT, f"{TEXT}\nTies are allowed."):
        write_instructions(project, text=text, user=admin)
        terms = write_terms(project, text=text, user=admin)
        agree(cast.labeler, version=terms.version)
        if terms.version == 1:
            agree(cast.other, version=1)
    decide_qualification(cast.labeler, decision=Qualification.PASSED, user=admin)
    decide_qualification(carol, decision=Qualification.FAILED, user=admin)
    pause(carol)
    User.objects.filter(pk=admin.pk).update(
        last_login=Now(), time_zone="America/Argentina/ComodRivadavia"
    )


def _rank(cast: Cast, carol: Membership) -> None:
    """Days of rankings by three labelers, with all that may become of one."""
    stati = [RankingStatus.COUNTED] * 5 + [RankingStatus.LATE, RankingStatus.SURPLUS]
    for number in range(COMPARED):
        prompt = make_prompt(cast.project, f"p{number}")
        people = (cast.labeler, cast.other, carol)
        for who, (labeler, ranks) in enumerate(zip(people, ORDERS, strict=True)):
            at = timezone.now() - timedelta(hours=7 * number + who + 1)
            store_ranking(
                prompt,
                labeler,
                ranks,
                assignment={"display_order": [0, 1, 2, 3], "closed_at": at},
                status=stati[number % 7] if who == 0 else RankingStatus.COUNTED,
                submitted_at=at,
                active_seconds=None if number % 9 == 8 else 61.25 * (who + 1),
                telemetry={"unread": ["B"] if number % 5 == 0 else []},
            )
    lock_and_summarize(cast.project.prompt_set.values_list("pk", flat=True))


def _teach(cast: Cast, carol: Membership) -> Assignment:
    """Training, the test and gold; a training prompt that the labeler answered."""
    shown = {"source": AssignmentSource.DIRECT, "display_order": [2, 0, 3, 1]}
    purposes = (Purpose.TRAINING, Purpose.QUALIFICATION, Purpose.GOLD)
    for purpose in purposes:
        for number in range(3):
            check = make_check(
                cast.project,
                purpose,
                f"{purpose}-{number}",
                metadata={"feedback": "**C** is wrong: there are *two* high tides."},
            )
            store_ranking(check, carol, GOLD, assignment={**shown, "slot": 0})
            mine = store_ranking(
                check,
                cast.labeler,
                {**GOLD, "r1": 2, "r2": 1},
                assignment={**shown, "slot": 1},
                active_seconds=33.5,
            )
            if (purpose, number) == (Purpose.TRAINING, 0):
                answered = mine.assignment
    return answered


def _prompts(cast: Cast) -> Prompt:
    """In every state; the one that is returned was skipped and taken out."""
    failure = "The model answered with an empty text four times; temperature 1.0"
    Prompt.objects.create(
        project=cast.project,
        external_id="failed-1",
        messages=[{"role": "user", "content": "Why?"}],
        line_sha256="0" * 64,
        failure=failure,
    )
    Prompt.objects.create(
        project=cast.project,
        external_id="waiting-1",
        messages=[{"role": "user", "content": "Why?"}],
        line_sha256="0" * 64,
        tags=["science", "everyday-questions-of-people-at-the-sea"],
    )
    for number in range(60):
        make_prompt(cast.project, f"open-{number}")
    out = Prompt.objects.create(
        project=cast.project,
        external_id=LONG_WORD,
        messages=[
            {"role": "system", "content": "You are a *harbour master*."},
            {
                "role": "user",
                "content": f"# Ask\nExplain `{LONG_WORD}`: https://{LONG_WORD}",
            },
        ],
        line_sha256="0" * 64,
        overlap=2,
    )
    for number in range(1, 5):
        out.responses.create(external_id=f"r{number}", text="Tides come and go.")
    open_slots([out])
    _skip(cast.labeler, out, SkipReason.BAD_PROMPT)
    _skip(cast.other, out, SkipReason.OTHER)
    user = cast.user("admin")
    reject_prompt(out, reason=f"It asks for {LONG_WORD}.", user=user)
    return out


def _skip(labeler: Membership, prompt: Prompt, reason: SkipReason) -> None:
    slot = Assignment.objects.filter(prompt=prompt, state=AssignmentState.OPEN)[0]
    Assignment.objects.filter(pk=slot.pk).update(
        state=AssignmentState.CLAIMED,
        labeler=labeler,
        claimed_at=Now(),
        lease_until=Now() + Value(timedelta(minutes=5)),
        display_order=[0, 1, 2, 3],
    )
    said = f"The link says nothing:\n{LONG_WORD}"
    skip(membership=labeler, token=slot.token, reason=reason, text=said)


def _report(cast: Cast, carol: Membership) -> None:
    """Open, answered and closed, and one about a prompt."""
    admin = cast.user("admin")
    assert admin is not None
    mine = Assignment.objects.filter(labeler=cast.labeler)[0]
    report_problem(cast.labeler, text="The text is cut off.", about=mine)
    report_problem(carol, text=f"The page {LONG_WORD * 3} does not open.\n\nAt all.")
    for close in (True, False):
        report = report_problem(cast.labeler, text="My hours of Monday are missing.")
        answer_report(report, answer="They are there now.", close=close, user=admin)


def _train(cast: Cast) -> TrainingRun:
    """A run that wrote responses, one that failed to train, and one that did."""
    failed = {"state": JobState.FAILED, "finished_at": Now()}
    GenerationRun.objects.create(
        project=cast.project,
        settings={"model": "sft"},
        prompts_total=70,
        prompts_done=69,
        prompts_failed=1,
        reason="CUDA out of memory: 512 MiB were asked for, 12 MiB are free",
        **failed,
    )
    common = {
        "project": cast.project,
        "dataset": freeze(cast.project),
        "base_model": f"models/{LONG_WORD}",
        "config": TrainingConfig().to_dict(),
        "started_at": Now() - Value(timedelta(minutes=9)),
    }
    TrainingRun.objects.create(**common, **failed, reason=f"No file {LONG_WORD}")
    run = TrainingRun.objects.create(
        **common,
        state=JobState.DONE,
        finished_at=Now(),
        attempt=1,
        step=4,
        steps_total=4,
    )
    for step in range(1, 5):
        TrainingMetric.objects.create(
            run=run, attempt=1, step=step, values=_measured(step)
        )
    model = RewardModel.objects.create(
        project=cast.project,
        run=run,
        folder=f"reward-models/{LONG_WORD}",
        manifest_sha256="0" * 64,
        metrics={
            "valid1": _evaluated(4, "valid1"),
            "valid2": _evaluated(4, "valid2"),
            "notes": ["few prompts: some were moved"],
        },
        evaluation={
            **report({"valid1": world(12, seed=1), "valid2": world(12, seed=2)}),
            "left_out": {"valid1": 0, "valid2": 1},
            "invariances": [],
        },
        in_use=True,
    )
    ScoredFile.objects.create(
        project=cast.project,
        reward_model=model,
        created_by=cast.user("researcher"),
        file_name=f"{LONG_WORD}.jsonl",
        sent_bytes=9_000,
        state=JobState.DONE,
        finished_at=Now(),
        scored=2,
        responses=9,
        refused=1,
        problems=[{"line": 2, "message": f"no JSON at column 7 of {LONG_WORD}"}],
        sha256="0" * 64,
    )
    return run


def _measured(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "total_steps": 4,
        "loss": 0.7 - step / 100,
        "counts": {"wins": 5, "losses": 3, "n": 8, "accuracy": 0.625},
        "learning_rate": 9e-6,
        "seconds_per_step": 1.5,
        "valid1": _evaluated(step, "valid1"),
    }


def _evaluated(step: int, split: str) -> dict[str, Any]:
    wins = 8 + step
    counts = {"wins": wins, "losses": 16 - wins, "n": 16, "accuracy": wins / 16}
    return {"step": step, "split": split, "prompts": 3, "loss": 0.61, "counts": counts}
