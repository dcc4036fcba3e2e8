"""The site, and who is asked to rank what."""

from annotation.celery import app as celery_app

__all__ = ["celery_app"]
