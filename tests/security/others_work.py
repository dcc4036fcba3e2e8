"""What others did in a project, and what it is made of: a sentinel in each of it."""

from uuid import uuid4

from django.apps import apps
from django.db import connection

from annotation.models import ProblemReport, Project, Prompt, Purpose, Response, Skip
from annotation.queue import open_slots
from ranking.models import Dataset, Draft, RefusedSubmission
from rm_training.models import (
    RewardModel,
    ScoredFile,
    TrainingMetric,
    TrainingRun,
)
from tests.ranking.rows import store_ranking
from tests.security.test_blindness import FIRST_KEY, SENTINEL
from tests.test_access_matrix import Cast


def start_keys_at_sentinels() -> None:
    """Every key of a row that is made from now on begins with the same six digits, and
    so do the places in the queue."""
    rooms = ("annotation", "ranking", "rm_training")
    models = [one for room in rooms for one in apps.get_app_config(room).get_models()]
    tables = [one._meta.db_table for one in models if one._meta.pk.name == "id"]
    with connection.cursor() as cursor:
        for number, table in enumerate(tables):
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)",
                [table, FIRST_KEY + 20 * number],
            )


def secret_prompt(project: Project, name: str, purpose: Purpose) -> Prompt:
    """A prompt with a sentinel in everything that its labeler must not see."""
    prompt = Prompt.objects.create(
        project=project,
        external_id=f"{SENTINEL}-{name}",
        messages=[{"role": "user", "content": f"What is {name}?"}],
        tags=[f"{SENTINEL}-tag"],
        purpose=purpose,
        gold=None
        if purpose == Purpose.WORK
        else {f"{SENTINEL}-r{n}": n for n in range(1, 5)},
        metadata={"reward": f"{SENTINEL}-reward", SENTINEL: 1},
        line_sha256=SENTINEL,
        overlap=3,
        failure=f"{SENTINEL}-failure",
    )
    for n in range(1, 5):
        Response.objects.create(
            prompt=prompt,
            external_id=f"{SENTINEL}-r{n}",
            text=f"Answer {n} to {name} is of some length.",
            model=f"{SENTINEL}-model",
            params={"temperature": f"{SENTINEL}-parameter"},
        )
    open_slots([prompt])
    return prompt


def what_others_did(cast: Cast, prompt: Prompt) -> None:
    """bob's ranking, note, rating, flag, draft, skip and report; and what came of it:
    a dataset, a run, its model and its metrics."""
    ranks = {f"{SENTINEL}-r{n}": n for n in range(1, 5)}
    stored = store_ranking(
        prompt,
        cast.other,
        ranks,
        note=f"{SENTINEL}-note",
        telemetry={"n_key": SENTINEL},
        said={f"{SENTINEL}-r1": {"rating": 7, "flags": [f"{SENTINEL}-flag"]}},
    )
    done = stored.assignment
    Draft.objects.create(assignment=done, rev=1, content={"note": f"{SENTINEL}-d"})
    Skip.objects.create(assignment=done, reason="other", text=f"{SENTINEL}-skip")
    RefusedSubmission.objects.create(
        assignment=done, submission_uuid=uuid4(), reason=SENTINEL, content={}
    )
    ProblemReport.objects.create(
        project=cast.project,
        reporter=cast.other,
        assignment=done,
        text=f"{SENTINEL}-report",
        answer=f"{SENTINEL}-answer",
    )
    frozen = Dataset.objects.create(
        project=cast.project,
        name=f"{SENTINEL}-ds"[:20],
        content_sha256=SENTINEL,
        filters={"tag": SENTINEL},
        counts={},
    )
    run = TrainingRun.objects.create(
        project=cast.project, dataset=frozen, base_model=SENTINEL, config={}
    )
    TrainingMetric.objects.create(run=run, attempt=1, step=1, values={"r": SENTINEL})
    model = RewardModel.objects.create(
        project=cast.project, run=run, folder=SENTINEL, manifest_sha256="", metrics={}
    )
    ScoredFile.objects.create(
        project=cast.project, reward_model=model, file_name=SENTINEL, sent_bytes=1
    )
