"""The life of a long job: its Postgres row is the job, the Celery message only wakes
a worker.

queued → running → done, failed (with a reason) or cancelled. A worker owns a running
job for as long as it renews the lease; every write of the worker names its attempt,
so a worker that lost the lease finds that it changes nothing, and stops. All times
are the database's.
"""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, Self

import structlog
from celery import Task
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from annotation.health import messages_waiting

LEASE = timedelta(seconds=40)
HEARTBEAT_SECONDS = 10.0
MOST_LOST_LEASES = 3
WAKE_AGAIN_AFTER = timedelta(seconds=15)
LONG_WAIT = timedelta(seconds=30)
# Behind a training of ten hours, 20 jobs that are sent again every 10 s would make
# 70,000 messages. More than these are no help to whoever will read them.
ENOUGH_MESSAGES = 100

# One byte that a worker's parent process and its children share: the parent hears of
# the shutdown, the child works. Without a lock, so a signal handler may set it.
_stopping = multiprocessing.RawValue("b", 0)

log = structlog.get_logger(__name__)


class LeaseLostError(Exception):
    """The job was cancelled, or another worker owns it: stop, and publish nothing."""


class JobState(models.TextChoices):
    """States of every kind of job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
GIVEN_UP = (JobState.FAILED, JobState.CANCELLED)


class WorkerStops(Exception):  # noqa: N818  reads as what happened
    """This worker was told to end: the job goes back to the queue."""


class Job(models.Model):
    """What all kinds of jobs share."""

    state = models.CharField(max_length=10, choices=JobState, default=JobState.QUEUED)
    reason = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    lost_leases = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    queued_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=JobState.values), name="%(class)s_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False),
                name="%(class)s_running_has_a_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(reason=""),
                name="%(class)s_failure_has_a_reason",
            ),
        ]

    @property
    def is_unfinished(self) -> bool:
        """Whether the job is waiting or at work."""
        return self.state in UNFINISHED

    @classmethod
    def claim(cls, pk: int, *, worker: str) -> Self | None:
        """Take the job if it waits, or if its owner's lease ran out.

        1. One conditional UPDATE: of several workers exactly one sees a row.
        2. The row is read back under the lock of that UPDATE, so `attempt` is ours.
        None: finished, cancelled, or somebody is at work on it.
        """
        abandoned = Q(
            state=JobState.RUNNING,
            lease_until__lt=Now(),
            # The last try's worker vanished as well: reconcile() fails such a job.
            lost_leases__lt=MOST_LOST_LEASES - 1,
        )
        lost = Case(
            When(state=JobState.RUNNING, then=F("lost_leases") + 1),
            default=F("lost_leases"),
            output_field=models.PositiveIntegerField(),
        )
        with transaction.atomic():
            taken = cls._default_manager.filter(
                Q(state=JobState.QUEUED) | abandoned, pk=pk
            ).update(
                state=JobState.RUNNING,
                attempt=F("attempt") + 1,
                lost_leases=lost,
                worker=worker,
                lease_until=Now() + Value(LEASE),
                started_at=Now(),
            )
            return cls._default_manager.get(pk=pk) if taken else None

    def write(self, **fields: Any) -> None:
        """Set fields and renew the lease, if this attempt still owns the job.

        Errors: LeaseLostError when it does not.
        """
        mine = type(self)._default_manager.filter(
            pk=self.pk, attempt=self.attempt, state=JobState.RUNNING
        )
        if not mine.update(lease_until=Now() + Value(LEASE), **fields):
            raise LeaseLostError(f"{type(self).__name__} {self.pk}")

    def finish(self, state: JobState, reason: str = "", **fields: Any) -> None:
        """Close the job. Errors: LeaseLostError."""
        self.write(state=state, reason=reason[:500], finished_at=Now(), **fields)

    def requeue(self) -> None:
        """Give the job back, for the next worker; it costs none of its tries."""
        self.write(state=JobState.QUEUED, queued_at=Now())

    def cancel(self, reason: str = "") -> bool:
        """Stop the job wherever it stands; False when it had finished before."""
        unfinished = type(self)._default_manager.filter(
            pk=self.pk, state__in=UNFINISHED
        )
        ended = {"state": JobState.CANCELLED, "reason": reason[:500]}
        return bool(unfinished.update(**ended, finished_at=Now()))

    def reopen(self, states: Sequence[JobState] = GIVEN_UP, **fields: Any) -> bool:
        """Queue a job that ended in one of these states again; False when it did not.

        One conditional UPDATE: of several callers exactly one queues it. Its attempts
        go on counting, so the fence holds against workers from before.
        """
        ended = type(self)._default_manager.filter(pk=self.pk, state__in=states)
        return bool(
            ended.update(
                state=JobState.QUEUED,
                reason="",
                lost_leases=0,
                queued_at=Now(),
                finished_at=None,
                **fields,
            )
        )


class KeptLease:
    """Renews a job's lease from a thread while the work goes on.

    The work asks `check()` at its steps: it raises LeaseLostError once the lease is
    lost or the job was cancelled. Work that is one transaction cannot show how far it
    is: the thread writes its `progress` with each beat.
    """

    def __init__(
        self,
        job: Job,
        *,
        seconds: float | None = None,
        progress: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._job = job
        self._seconds = seconds or HEARTBEAT_SECONDS
        self._progress = progress
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise LeaseLostError if this worker no longer owns the job."""
        if self._lost.is_set():
            raise LeaseLostError(f"{type(self._job).__name__} {self._job.pk}")

    def _renew(self) -> None:
        try:
            while not self._stop.wait(self._seconds):
                self._beat()
        except LeaseLostError:
            self._lost.set()
        finally:
            connection.close()

    def _beat(self) -> None:
        """One renewal. A database that is away for a moment costs no lease: the next
        beat tries again, and should the lease run out meanwhile, it finds that out."""
        try:
            self._job.write(**self._progress())
        except DatabaseError as error:
            log.warning("lease not renewed", id=self._job.pk, error=str(error))
            connection.close()


def waits_long() -> Q:
    """Jobs that no worker took for half a minute: there may be none."""
    return Q(state=JobState.QUEUED, queued_at__lt=Now() - Value(LONG_WAIT))


def stop_working() -> None:
    """Ask this worker's work to give its jobs back (`requeue`) at the next step."""
    _stopping.value = 1


@contextmanager
def sigterm_asks_to_stop() -> Iterator[None]:
    """A process manager may signal the whole group: then the child that works must
    not die of it. A worker without children has Celery's own handler, which stays."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        stop_working()

    signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def worker_is_stopping() -> bool:
    """Whether this worker was told to end."""
    return bool(_stopping.value)


def wake(task: Task[..., None], pk: int) -> None:
    """Send the job's id to a worker once the transaction is committed.

    A broker that cannot be reached is logged, not raised: the row stays queued and
    the reconciler sends it again.
    """
    transaction.on_commit(lambda: task.delay(pk), robust=True)


def reconcile(jobs: QuerySet[Any], task: Task[..., None]) -> None:
    """Wake what a broker, a beat or a worker lost; any number of beats may call it.

    1. An advisory lock of the transaction lets one reconciler work at a time.
    2. Jobs whose workers vanished too often fail with the reason `worker_lost`.
    3. Ids of jobs queued for a while, or with a lease that ran out, are sent again;
       a duplicate message finds nothing to claim.
    4. Where the broker holds enough messages, the next call sees: workers that read
       them make room, and one that forgot them holds none.
    """
    with transaction.atomic():
        if not _alone(jobs.model._meta.db_table):
            return
        _fail_abandoned(jobs)
        waiting = Q(
            state=JobState.QUEUED, queued_at__lt=Now() - Value(WAKE_AGAIN_AFTER)
        )
        asleep = waiting | Q(state=JobState.RUNNING, lease_until__lt=Now())
        ids = list(jobs.filter(asleep).values_list("pk", flat=True))
    if ids and _has_enough_messages(task):
        log.info("jobs wait, and so do messages", task=task.name, jobs=len(ids))
        return
    for pk in ids:
        log.info("job sent again", task=task.name, id=pk)
        task.delay(pk)


def _alone(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [table])
        return bool(cursor.fetchone()[0])


def _fail_abandoned(jobs: QuerySet[Any]) -> None:
    jobs.filter(
        state=JobState.RUNNING,
        lease_until__lt=Now(),
        lost_leases__gte=MOST_LOST_LEASES - 1,
    ).update(
        state=JobState.FAILED,
        reason=f"worker_lost: {MOST_LOST_LEASES} workers vanished during this job",
        lost_leases=MOST_LOST_LEASES,
        finished_at=Now(),
    )


def _has_enough_messages(task: Task[..., None]) -> bool:
    queue = task.app.amqp.router.route({}, task.name)["queue"]
    return messages_waiting(queue.name) >= ENOUGH_MESSAGES
