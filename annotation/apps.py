"""The app, with its system checks."""

from django.apps import AppConfig

from annotation import checks  # noqa: F401  registered by being imported


class AnnotationConfig(AppConfig):
    """The site, and who is asked to rank what."""

    name = "annotation"
