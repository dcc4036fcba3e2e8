"""A job runs once with effect, whatever happens to workers, broker and beat."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import kombu.exceptions
import pytest
from celery import Celery
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Now

from annotation import jobs
from annotation.jobs import JobState, KeptLease, LeaseLostError
from annotation.models import GenerationRun, Project
from annotation.tasks import generate_responses

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project: Project) -> GenerationRun:
    run = GenerationRun.objects.create(project=project, settings={})
    run.refresh_from_db()
    return run


def claim(run: GenerationRun, worker: str = "w1") -> GenerationRun | None:
    return GenerationRun.claim(run.pk, worker=worker)


def claimed(run: GenerationRun, worker: str = "w1") -> GenerationRun:
    mine = claim(run, worker)
    assert mine is not None
    return mine


def lease_runs_out(run: GenerationRun) -> None:
    GenerationRun.objects.filter(pk=run.pk).update(
        lease_until=Now() - Value(timedelta(seconds=1))
    )


def waits_since(run: GenerationRun, seconds: int) -> None:
    GenerationRun.objects.filter(pk=run.pk).update(
        queued_at=Now() - Value(timedelta(seconds=seconds))
    )


def reconciled() -> list[int]:
    """The ids that a reconciler sends again."""
    sent: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate_responses, "delay", sent.append)
        jobs.reconcile(GenerationRun.objects.all(), generate_responses)
    return sent


# --- Claiming ---------------------------------------------------------------------


def test_a_job_is_claimed_once(run: GenerationRun) -> None:
    mine = claimed(run)
    assert (mine.state, mine.attempt, mine.worker) == (JobState.RUNNING, 1, "w1")
    assert claim(run, "w2") is None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_woken_at_once_one_gets_the_job(run: GenerationRun) -> None:
    barrier = threading.Barrier(8)

    def race(number: int) -> bool:
        try:
            barrier.wait(10)
            return claim(run, f"w{number}") is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 1
    run.refresh_from_db()
    assert run.attempt == 1


@pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_a_finished_job_is_not_claimed(run: GenerationRun, state: JobState) -> None:
    claimed(run).finish(state, "because")
    assert claim(run) is None


def test_a_job_whose_lease_ran_out_is_claimed_by_the_next(run: GenerationRun) -> None:
    claimed(run)
    lease_runs_out(run)
    second = claimed(run, "w2")
    assert (second.attempt, second.lost_leases, second.worker) == (2, 1, "w2")


# --- Fencing ----------------------------------------------------------------------


def test_a_worker_that_lost_the_lease_changes_nothing(run: GenerationRun) -> None:
    first = claimed(run)
    lease_runs_out(run)
    claimed(run, "w2")
    with pytest.raises(LeaseLostError):
        first.write(prompts_done=99)
    with pytest.raises(LeaseLostError):
        first.finish(JobState.DONE)
    with pytest.raises(LeaseLostError):
        first.requeue()
    run.refresh_from_db()
    assert (run.state, run.prompts_done, run.attempt) == (JobState.RUNNING, 0, 2)


def test_a_lease_that_ran_out_unseen_is_still_its_owners(run: GenerationRun) -> None:
    mine = claimed(run)
    lease_runs_out(run)
    mine.write(prompts_done=F("prompts_done") + 1)
    assert claim(run, "w2") is None
    run.refresh_from_db()
    assert run.prompts_done == 1


def test_every_write_renews_the_lease_by_the_databases_clock(
    run: GenerationRun,
) -> None:
    mine = claimed(run)
    lease_runs_out(run)
    mine.write()
    left = GenerationRun.objects.annotate(left=F("lease_until") - Now()).get(pk=run.pk)
    assert timedelta(seconds=39) < left.left <= jobs.LEASE


# --- Ends -------------------------------------------------------------------------


def test_a_cancelled_job_stops_its_worker(run: GenerationRun) -> None:
    mine = claimed(run)
    assert run.cancel()
    with pytest.raises(LeaseLostError):
        mine.write(prompts_done=1)
    assert not run.cancel()  # it had ended before
    run.refresh_from_db()
    assert run.state == JobState.CANCELLED
    assert run.finished_at is not None


def test_a_waiting_job_can_be_cancelled(run: GenerationRun) -> None:
    assert run.cancel()
    assert claim(run) is None


def test_giving_a_job_back_costs_none_of_its_tries(run: GenerationRun) -> None:
    for _ in range(5):
        claimed(run).requeue()
    fifth = claimed(run)
    assert (fifth.attempt, fifth.lost_leases) == (6, 0)


def test_a_failure_without_a_reason_is_refused(run: GenerationRun) -> None:
    mine = claimed(run)
    with (
        pytest.raises(IntegrityError, match="failure_has_a_reason"),
        transaction.atomic(),
    ):
        mine.finish(JobState.FAILED)


def test_a_long_reason_is_cut(run: GenerationRun) -> None:
    claimed(run).finish(JobState.FAILED, "x" * 9_000)
    run.refresh_from_db()
    assert run.reason == "x" * 500


# --- Reconciling ------------------------------------------------------------------


def test_a_job_that_waits_is_sent_again(run: GenerationRun) -> None:
    assert reconciled() == []  # it was queued just now: the first message is on its way
    waits_since(run, 14)
    assert reconciled() == []
    waits_since(run, 16)
    assert reconciled() == [run.pk]


@pytest.mark.parametrize(("held", "sends"), [(0, 1), (99, 1), (100, 0), (70_000, 0)])
def test_a_broker_that_holds_enough_messages_gets_no_more(
    run: GenerationRun, monkeypatch: pytest.MonkeyPatch, held: int, sends: int
) -> None:
    asked: list[str] = []

    def waiting(queue: str) -> int:
        asked.append(queue)
        return held

    monkeypatch.setattr(jobs, "messages_waiting", waiting)
    waits_since(run, 3_600)
    assert reconciled() == [run.pk] * sends
    assert asked == ["models"]


def test_a_job_under_work_is_left_alone(run: GenerationRun) -> None:
    claimed(run)
    waits_since(run, 3_600)
    assert reconciled() == []


def test_a_job_whose_worker_vanished_is_sent_again(run: GenerationRun) -> None:
    claimed(run)
    lease_runs_out(run)
    assert reconciled() == [run.pk]


def test_after_three_lost_leases_the_job_fails(run: GenerationRun) -> None:
    for attempt in (1, 2, 3):
        assert claimed(run).attempt == attempt
        lease_runs_out(run)
        assert reconciled() == ([run.pk] if attempt < 3 else [])
    run.refresh_from_db()
    assert (run.state, run.attempt, run.lost_leases) == (JobState.FAILED, 3, 3)
    assert run.reason.startswith("worker_lost: 3 workers vanished")


def test_a_late_message_gives_no_fourth_try(run: GenerationRun) -> None:
    """The broker may still hold a duplicate when the third worker vanishes."""
    for _ in range(3):
        claimed(run)
        lease_runs_out(run)
    assert claim(run) is None


@pytest.mark.django_db(transaction=True)
def test_one_reconciler_works_at_a_time(run: GenerationRun) -> None:
    waits_since(run, 60)
    locked, done = threading.Event(), threading.Event()

    def other_beat() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                table = GenerationRun._meta.db_table
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [table])
                locked.set()
                done.wait(10)
        finally:
            connection.close()

    beat = threading.Thread(target=other_beat)
    beat.start()
    assert locked.wait(10)
    assert reconciled() == []
    done.set()
    beat.join()
    assert reconciled() == [run.pk]


# --- Waking -----------------------------------------------------------------------


nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
nowhere.conf.task_publish_retry_policy = settings.CELERY_TASK_PUBLISH_RETRY_POLICY


@nowhere.task
def nobody_hears(pk: int) -> None:
    """Its broker's port is closed."""


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_the_row_waits_and_nobody_sees_an_error(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(kombu.exceptions.OperationalError):
        nobody_hears.delay(1)  # this is what the page would have met
    with transaction.atomic():
        run = GenerationRun.objects.create(project=project, settings={})
        jobs.wake(nobody_hears, run.pk)
    assert "on_commit" in caplog.text
    run.refresh_from_db()
    assert run.state == JobState.QUEUED
    waits_since(run, 16)
    assert reconciled() == [run.pk]


@pytest.mark.django_db(transaction=True)
def test_nobody_is_woken_for_a_row_that_was_rolled_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(generate_responses, "delay", sent.append)
    with transaction.atomic():
        jobs.wake(generate_responses, 1)
        transaction.set_rollback(True)
    assert sent == []
    with transaction.atomic():
        jobs.wake(generate_responses, 2)
        assert sent == []  # not before the commit
    assert sent == [2]


# --- Keeping the lease ------------------------------------------------------------


@pytest.fixture
def fast_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", 0.01)


def until(condition: threading.Event) -> None:
    assert condition.wait(10)


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_the_work_goes_on(
    run: GenerationRun, fast_heartbeat: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = claimed(run)
    renewed = threading.Event()
    write = mine.write

    def seen() -> None:
        write()
        renewed.set()

    monkeypatch.setattr(mine, "write", seen)
    lease_runs_out(run)
    with KeptLease(mine) as lease:
        until(renewed)
        lease.check()
    assert claim(run, "w2") is None


@pytest.mark.django_db(transaction=True)
def test_work_hears_that_its_job_was_cancelled(
    run: GenerationRun, fast_heartbeat: None
) -> None:
    with KeptLease(claimed(run)) as lease:
        lease.check()
        run.cancel()
        lease._thread.join(10)
        with pytest.raises(LeaseLostError):
            lease.check()


@pytest.mark.django_db(transaction=True)
def test_a_database_away_for_a_moment_costs_no_lease(
    run: GenerationRun, fast_heartbeat: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = claimed(run)
    answers = iter([OperationalError("server closed"), OperationalError("starting")])
    renewed = threading.Event()
    write = mine.write

    def flaky() -> None:
        for error in answers:
            raise error
        write()
        renewed.set()

    monkeypatch.setattr(mine, "write", flaky)
    with KeptLease(mine) as lease:
        until(renewed)
        lease.check()
