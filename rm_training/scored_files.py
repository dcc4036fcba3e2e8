"""Files that reward models score: received, cancelled, handed out, forgotten.

The Postgres row is the job (`annotation.jobs`); its folder lies below VAR_DIR, which
web processes and workers share. What a worker does is in `file_scoring`, which loads
torch.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Now

from annotation import jobs
from annotation.jobs import UNFINISHED
from annotation.models import Project, User
from ranking.export.store import Blocks
from ranking.file_imports import readable, write_upload
from rm_training import tasks
from rm_training.models import RewardModel, ScoredFile

KEPT_FOR: Final = timedelta(days=30)
MOST_WAITING: Final = 20  # files of one project that wait to be scored


class ScoringRefusedError(Exception):
    """A file was not taken; the message says why and what to do."""


def receive(
    model: RewardModel,
    pieces: Iterable[bytes],
    *,
    file_name: str,
    user: User | None,
) -> ScoredFile:
    """Write what was sent to the disk, and queue its job.

    The file is there before its row is; should that fail, the file goes again. Raises
    ranking.file_imports.FileTooLarge, ScoringRefusedError.
    """
    of_project = ScoredFile.objects.filter(project=model.project_id)
    if of_project.filter(state__in=UNFINISHED).count() >= MOST_WAITING:
        raise ScoringRefusedError(
            f"{MOST_WAITING} files of this project wait to be scored. Nothing was kept"
            " of this one: send it again when some are done, or cancel one."
        )
    job = ScoredFile(
        project_id=model.project_id,
        reward_model=model,
        created_by=user,
        file_name=readable(file_name),
    )
    try:
        job.sent_bytes = write_upload(job.sent, pieces)
        with transaction.atomic():
            job.save()
            jobs.wake(tasks.score_file, job.pk)
    except BaseException:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise
    return job


def discard(job: ScoredFile) -> None:
    """Stop the job if it is not done, and delete its files; the row stays.

    A worker that is at it finds the job lost, and clears up once more.
    """
    job.cancel()
    shutil.rmtree(job.folder, ignore_errors=True)


def models_of(project: Project) -> QuerySet[RewardModel]:
    """The models to score files with: the one in use first, then the newest."""
    models = RewardModel.objects.filter(project=project)
    return models.select_related("run").order_by("-in_use", "-pk")


@dataclass(frozen=True)
class RewardsFile:
    """The rewards of a file, to be sent in any of their parts."""

    path: Path
    sha256: str
    size: int

    def blocks(self, places: range) -> Iterator[bytes]:
        """These bytes. Raises OSError, at once, where the file cannot be opened."""
        file = self.path.open("rb")
        file.seek(places.start)
        return Blocks(file, len(places))


def rewards_of(job: ScoredFile) -> RewardsFile | None:
    """What a done job wrote; None where it is not done, or its file is gone."""
    return RewardsFile(job.rewards, job.sha256, job.size) if job.is_here else None


def forget_old_files() -> int:
    """Delete the files of jobs that ended KEPT_FOR ago; how many. Their rows stay."""
    old = ScoredFile.objects.filter(
        ~Q(state__in=UNFINISHED), finished_at__lt=Now() - Value(KEPT_FOR)
    )
    folders = [job.folder for job in old.only("stored_as") if job.folder.exists()]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return len(folders)
