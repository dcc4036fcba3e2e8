"""Files of datasets do not stay for ever: what is asked for later is written again."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Now

from annotation.jobs import JobState
from ranking.downloads import place_in_store
from ranking.export.store import exports_store
from ranking.models import ExportRun

log = structlog.get_logger(__name__)


def remove_expired() -> int:
    """Remove the files that were written EXPORTS_KEPT_DAYS ago; how many. Rows stay.

    Only files that pages made go. Training runs read copies of their own, which lie
    elsewhere in the folder of the dataset and end with the run.
    """
    if not settings.EXPORTS_KEPT_DAYS:
        return 0
    kept = timedelta(days=settings.EXPORTS_KEPT_DAYS)
    old = ExportRun.objects.filter(
        state=JobState.DONE, removed_at=None, finished_at__lt=Now() - Value(kept)
    )
    return sum(_removed(pk, old) for pk in list(old.values_list("pk", flat=True)))


def _removed(pk: int, old: QuerySet[ExportRun]) -> bool:
    """Whether this call removed the file of a row.

    1. The row is locked while its file goes. Who asks for the file meanwhile waits to
       queue its job, so nobody writes where things are being removed; another beat
       passes the row by.
    2. A download that goes on ends well: a file that is open outlives its name, and a
       bucket sends what it has begun. One that is resumed later waits for a worker,
       who writes the same bytes.
    3. Where the disk or the store fails, the row stays as it is, for the next time.
    """
    locked = old.select_for_update(no_key=True, of=("self",), skip_locked=True)
    try:
        with transaction.atomic():
            run = locked.select_related("dataset").filter(pk=pk).first()
            if run is None:
                return False
            exports_store().remove(place_in_store(run.dataset, run.choice))
            return bool(ExportRun.objects.filter(pk=pk).update(removed_at=Now()))
    except OSError:
        log.exception("file of a dataset was not removed", run=pk)
        return False
