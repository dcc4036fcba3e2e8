"""F10: the broker delivers the message of a run again while the run is trained. One
worker trains it at any time, and the other one reads that, and leaves.

The control has the same workers, whose leases are not renewed: two train at once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from annotation.models import Membership, Project
from rm_training.models import RewardModel, TrainingRun
from rm_training.runs import request_run
from tests.faults.broker import Broker
from tests.faults.job_site import HEARD, JobSite
from tests.rm_training.ranked_project import QUICK, STEPS, rank_politely
from tests.tiny_model import make_tiny_sft

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
WORKERS = ("first", "second")


@pytest.fixture
def site(tmp_path: Path, settings: Settings) -> Iterator[JobSite]:
    """A broker, and workers that `two_workers` starts."""
    settings.EMBEDDED_VALKEY = False  # no message of the tests starts a broker
    settings.VAR_DIR = tmp_path / "var"
    running = JobSite(tmp_path / "var", Broker(tmp_path / "broker"))
    running.environment["GATE"] = str(tmp_path / "gate")
    try:
        running.broker.start()
        yield running
    finally:
        open_gate(running)
        running.stop()
        running.broker.kill()


@pytest.fixture
def run(
    site: JobSite,
    project: Project,
    alice: Membership,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> TrainingRun:
    """Its only message is what the tests send."""
    project.sft_model = str(make_tiny_sft(tmp_path / "sft"))
    project.save(update_fields=["sft_model"])
    rank_politely(project, alice)
    monkeypatch.setattr("rm_training.runs.wake", lambda task, pk: None)
    return request_run(project, user=None, base_model=project.sft_model, config=QUICK)


def open_gate(site: JobSite) -> None:
    Path(site.environment["GATE"]).touch()


def delivered_twice(site: JobSite, run: TrainingRun) -> None:
    """Two workers; one trains and stands still, and the other gets its message."""
    for name in WORKERS:
        site.start_worker(name, "--pool", "solo", app="tests.faults.twice_delivered")
    both_say(site, " ready.")
    site.send(run.pk)
    site.until(lambda: len(attempts(run)) == 1, "one of them trains")
    both_say(site, "Task rm_training.tasks.train[")


def both_say(site: JobSite, words: str) -> None:
    site.until(lambda: all(words in site.log(name) for name in WORKERS), words)


def attempts(run: TrainingRun) -> list[str]:
    """Who trained, in the run's own log."""
    return list(
        run.notes.filter(text__startswith="attempt ").values_list("text", flat=True)
    )


def nothing_is_left(site: JobSite) -> Callable[[], bool]:
    broker = site.broker
    return lambda: broker.waiting() + broker.unacknowledged() == 0


def assert_one_model(run: TrainingRun) -> None:
    run.refresh_from_db()
    assert run.state == "done"
    model = RewardModel.objects.get()
    assert model.run_id == run.pk
    assert run.metrics.count() == STEPS


def test_a_message_that_comes_again_during_a_long_training_trains_nothing(
    site: JobSite, run: TrainingRun
) -> None:
    delivered_twice(site, run)
    site.until(lambda: any(HEARD in site.log(name) for name in WORKERS), "one leaves")
    assert len(attempts(run)) == 1  # while the other one is still at it
    open_gate(site)
    site.until(lambda: TrainingRun.objects.filter(state="done").exists(), "it is done")
    site.until(nothing_is_left(site), "both messages are acknowledged")
    run.refresh_from_db()
    assert (run.attempt, run.lost_leases, len(attempts(run))) == (1, 0, 1)
    assert_one_model(run)


def test_control_without_a_heartbeat_two_train_at_once_and_one_publishes(
    site: JobSite, run: TrainingRun
) -> None:
    """The fence still holds: the first finds at its next write that it lost the run."""
    site.environment["NO_HEARTBEAT"] = "yes"
    delivered_twice(site, run)
    site.until(lambda: len(attempts(run)) == 2, "two train at once")
    open_gate(site)
    site.until(lambda: TrainingRun.objects.filter(state="done").exists(), "it is done")
    site.until(nothing_is_left(site), "both messages are acknowledged")
    assert sum("attempt gave way" in site.log(name) for name in WORKERS) == 1
    run.refresh_from_db()
    assert (run.attempt, run.lost_leases) == (2, 1)
    assert_one_model(run)
