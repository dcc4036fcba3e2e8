"""Celery's entry points for what labelers answered."""

from celery import shared_task
from django.conf import settings

from ranking.export.folder import remove_if_dead


@shared_task
def sweep_exports() -> None:
    """Remove what downloads left unfinished whose process was killed."""
    for left in (settings.VAR_DIR / "exports").glob("*/*/.*.part-*"):
        remove_if_dead(left)
