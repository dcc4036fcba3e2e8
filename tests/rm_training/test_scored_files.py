"""Files that a reward model scores, from the upload to the download, on a real Postgres
with a real (tiny) model."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from annotation.jobs import JobState
from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.file_imports import FileTooLarge
from rm_training import file_scoring, scored_files, tasks
from rm_training.file_scoring import attempt
from rm_training.listener import TrainingResult
from rm_training.manifest import MANIFEST, file_sha256
from rm_training.models import RewardModel, ScoredFile, TrainingRun
from rm_training.scored_files import (
    KEPT_FOR,
    ScoringRefusedError,
    discard,
    forget_old_files,
    receive,
)
from rm_training.scoring import RewardModel as LoadedModel
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Arguments of every message that would have gone to the broker."""
    messages: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks.score_file, "delay", lambda *args: messages.append(args))
    return messages


@pytest.fixture
def model(
    project: Project, alice: Membership, polite_run: TrainingResult, tmp_path: Path
) -> RewardModel:
    """The one in use of the project; its folder is a copy of its own."""
    folder = tmp_path / "models" / "reward-models" / "one"
    shutil.copytree(polite_run.folder, folder)
    prompt = make_prompt(project, "p1")
    store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    run = TrainingRun.objects.create(
        project=project, dataset=freeze(project), base_model="base", config={}
    )
    return RewardModel.objects.create(
        project=project,
        run=run,
        folder="reward-models/one",
        manifest_sha256=file_sha256(folder / MANIFEST),
        metrics={},
        in_use=True,
    )


@pytest.fixture
def desk(researcher: Membership, signed_in: Callable[[Membership], Client]) -> Client:
    return signed_in(researcher)


def never() -> bool:
    return False


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


GOOD = [
    line(id=1, prompt="Hi", responses=["a", "b"]),
    line(prompt=[{"role": "user", "content": "Ho"}], responses=["c"], note="ünï"),
    line(prompt="Hey", responses=[]),
]


def a_file(model: RewardModel, *pieces: bytes) -> ScoredFile:
    return receive(model, pieces, file_name="in.jsonl", user=None)


def carry_out(job: ScoredFile, stopping: Callable[[], bool] = never) -> ScoredFile:
    attempt(job.pk, worker="test", stopping=stopping)
    job.refresh_from_db()
    return job


def rows_of(job: ScoredFile) -> list[dict[str, Any]]:
    return [json.loads(row) for row in job.rewards.read_text().splitlines()]


# --- The work ---------------------------------------------------------------------


def test_a_file_comes_back_with_the_rewards_that_score_gives(
    model: RewardModel, polite_run: TrainingResult
) -> None:
    job = carry_out(a_file(model, *GOOD))
    assert (job.state, job.scored, job.responses, job.refused) == ("done", 3, 3, 0)
    loaded = LoadedModel.load(polite_run.folder, device="cpu")
    first, second, third = rows_of(job)
    assert (first["id"], second["note"]) == (1, "ünï")
    assert first["rewards"] == pytest.approx(loaded.score(["Hi"], [["a", "b"]])[0])
    assert second["rewards"] == pytest.approx(loaded.score(["Ho"], [["c"]])[0])
    assert third["rewards"] == []
    assert job.sha256 == hashlib.sha256(job.rewards.read_bytes()).hexdigest()
    assert job.size == job.rewards.stat().st_size
    assert job.read_bytes == job.sent_bytes == sum(map(len, GOOD))
    assert list(job.folder.iterdir()) == [job.rewards]


def test_lines_that_cannot_be_scored_are_told_by_number_and_the_others_are_scored(
    model: RewardModel,
) -> None:
    job = carry_out(
        a_file(
            model,
            GOOD[0],
            b"\n",
            b"{\n",
            line(prompt="Hi"),
            line(prompt="Hi", responses=["word " * 2000]),
            line(prompt="Hi", responses=["\ud800"]),
            GOOD[1],
        )
    )
    assert (job.state, job.scored, job.refused) == ("done", 2, 4)
    assert [row["rewards"] != [] for row in rows_of(job)] == [True, True]
    told = {problem["line"]: problem["message"] for problem in job.problems}
    assert sorted(told) == [3, 4, 5, 6]
    assert told[3].startswith("no JSON")
    assert told[4] == 'expected an object with "prompt" and "responses"'
    assert "response 1 has" in told[5]
    assert "lone surrogate" in told[6]


def test_windows_are_small_and_keep_the_order(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_scoring, "LINES_AT_ONCE", 2)
    monkeypatch.setattr(file_scoring, "BYTES_AT_ONCE", 90)
    texts = ["a " * n for n in (1, 50, 2, 3, 4)]
    lines = [line(id=n, prompt="Hi", responses=[t]) for n, t in enumerate(texts)]
    job = carry_out(a_file(model, gzip.compress(b"".join(lines))))
    assert [row["id"] for row in rows_of(job)] == [0, 1, 2, 3, 4]


def test_a_broken_gzip_file_fails_and_leaves_nothing(model: RewardModel) -> None:
    job = carry_out(a_file(model, gzip.compress(GOOD[0])[:-6]))
    assert job.state == "failed"
    assert "cut off or damaged" in job.reason
    assert not job.folder.exists()


def test_a_model_with_a_wrong_hash_gives_no_rewards(
    model: RewardModel, tmp_path: Path
) -> None:
    weights = tmp_path / "models" / model.folder / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-1] ^= 1
    weights.write_bytes(flipped)
    job = carry_out(a_file(model, GOOD[0]))
    assert job.state == "failed"
    assert "model.safetensors has changed" in job.reason


def test_a_worker_that_is_told_to_end_gives_the_file_back(model: RewardModel) -> None:
    job = carry_out(a_file(model, GOOD[0]), stopping=lambda: True)
    assert (job.state, job.lost_leases) == ("queued", 0)
    assert carry_out(job).scored == 1


def test_a_cancelled_file_stops_and_nothing_of_it_stays(model: RewardModel) -> None:
    job = a_file(model, GOOD[0])

    def cancelled() -> bool:
        discard(ScoredFile.objects.get(pk=job.pk))
        return False

    assert carry_out(job, stopping=cancelled).state == "cancelled"
    assert not job.folder.exists()


def test_a_worker_that_lost_the_job_leaves_what_the_next_one_wrote(
    model: RewardModel,
) -> None:
    job = a_file(model, *GOOD)

    def overtaken() -> bool:
        taken = ScoredFile.objects.filter(pk=job.pk)
        if taken.get().attempt == 1:
            taken.update(lease_until=Now() - Value(KEPT_FOR))
            carry_out(ScoredFile.objects.get(pk=job.pk))
        return False

    carry_out(job, stopping=overtaken)
    assert (job.state, job.attempt, job.scored) == ("done", 2, 3)
    assert [path.name for path in job.folder.iterdir()] == ["rewards-2.jsonl"]
    assert hashlib.sha256(job.rewards.read_bytes()).hexdigest() == job.sha256


# --- Asking -----------------------------------------------------------------------


def test_a_file_wakes_a_worker_once_it_is_stored(
    model: RewardModel,
    sent: list[tuple[Any, ...]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        job = a_file(model, b"{", b"}")
    assert sent == [(job.pk,)]
    assert job.sent.read_bytes() == b"{}"


def test_what_is_too_large_is_not_kept(
    model: RewardModel, settings: Settings, tmp_path: Path
) -> None:
    settings.UPLOAD_MAX_BYTES = 3
    with pytest.raises(FileTooLarge):
        a_file(model, b"12", b"34")
    assert not ScoredFile.objects.exists()
    assert not list((tmp_path / "scored").iterdir())


def test_only_so_many_files_of_a_project_wait(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scored_files, "MOST_WAITING", 1)
    first = a_file(model, GOOD[0])
    with pytest.raises(ScoringRefusedError, match="1 files of this project wait"):
        a_file(model, GOOD[0])
    discard(first)
    a_file(model, GOOD[0])


def test_rewards_are_forgotten_after_a_while_and_their_rows_stay(
    model: RewardModel,
) -> None:
    old, new, waiting = (a_file(model, GOOD[0]) for _ in range(3))
    carry_out(old)
    carry_out(new)
    ended = ScoredFile.objects.filter(pk=old.pk)
    ended.update(finished_at=Now() - Value(KEPT_FOR))
    assert forget_old_files() == 1
    assert [job.folder.exists() for job in (old, new, waiting)] == [False, True, True]
    assert ended.get().state == JobState.DONE


# --- Pages and API ----------------------------------------------------------------


def test_a_researcher_sends_a_file_and_downloads_its_rewards(
    desk: Client, project: Project, model: RewardModel
) -> None:
    place = f"/p/{project.slug}/scored/"
    assert b"Run " in desk.get(place).content
    file = SimpleUploadedFile("in.jsonl", GOOD[0] + b"{\n")
    answer = desk.post(place, {"reward_model": model.pk, "file": file})
    job = ScoredFile.objects.get()
    assert answer["Location"] == f"{place}{job.pk}/"
    assert b"Waiting for a worker" in desk.get(f"{place}{job.pk}/live/").content
    assert desk.get(f"{place}{job.pk}/rewards.jsonl").status_code == 404
    carry_out(job)
    page = desk.get(f"{place}{job.pk}/").content.decode()
    assert "1 line scored; 1 could not be, and is not among the rewards" in page
    whole = desk.get(f"{place}{job.pk}/rewards.jsonl")
    assert whole.getvalue() == job.rewards.read_bytes()
    rest = desk.get(
        f"{place}{job.pk}/rewards.jsonl",
        headers={"Range": "bytes=5-", "If-Range": whole["ETag"]},
    )
    assert rest.status_code == 206
    assert rest.getvalue() == job.rewards.read_bytes()[5:]
    desk.post(f"{place}{job.pk}/discard/")
    assert desk.get(f"{place}{job.pk}/rewards.jsonl").status_code == 404
    assert b"rewards were deleted" in desk.get(f"{place}{job.pk}/").content


def test_the_model_of_another_project_is_no_choice(
    desk: Client, project: Project, model: RewardModel
) -> None:
    other = Project.objects.create(slug="other", title="Other")
    RewardModel.objects.filter(pk=model.pk).update(project=other)
    answer = desk.post(
        f"/p/{project.slug}/scored/",
        {"reward_model": model.pk, "file": SimpleUploadedFile("a", b"{}")},
    )
    assert answer.status_code == 422
    assert not ScoredFile.objects.exists()
    assert b"There is no reward model yet" in answer.content


def test_a_program_does_the_same(
    desk: Client, project: Project, model: RewardModel
) -> None:
    place = f"/api/v1/projects/{project.slug}/scored"
    answer = desk.post(f"{place}?name=in.jsonl", GOOD[0], "application/x-ndjson")
    assert answer.status_code == 202, answer.content
    given = answer.json()
    assert (given["state"], given["rewards_url"]) == ("queued", None)
    assert (given["file_name"], given["run"]) == ("in.jsonl", model.run_id)
    carry_out(ScoredFile.objects.get())
    given = desk.get(given["url"]).json()
    assert (given["state"], given["scored"], given["problems"]) == ("done", 1, [])
    assert json.loads(desk.get(given["rewards_url"]).getvalue())["id"] == 1
    assert [one["state"] for one in desk.get(place).json()["files"]] == ["done"]
    assert desk.post(f"{given['url']}/discard").status_code == 204


@pytest.mark.parametrize("run", ["0", "x", str(10**30)])
def test_a_program_that_names_no_run_of_the_project_is_told_so(
    desk: Client, project: Project, model: RewardModel, run: str
) -> None:
    place = f"/api/v1/projects/{project.slug}/scored?run={run}"
    answer = desk.post(place, GOOD[0], "application/x-ndjson")
    assert answer.status_code == 422
    assert "no run of this project" in answer.json()["message"]


def test_without_a_model_in_use_a_program_must_name_the_run(
    desk: Client, project: Project, model: RewardModel
) -> None:
    RewardModel.objects.update(in_use=False)
    place = f"/api/v1/projects/{project.slug}/scored"
    assert desk.post(place, GOOD[0], "text/plain").status_code == 422
    named = desk.post(f"{place}?run={model.run_id}", GOOD[0], "text/plain")
    assert named.status_code == 202
