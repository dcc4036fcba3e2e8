"""The project that a command is told to work on."""

from django.core.management.base import CommandError

from annotation.models import Project


def project_named(slug: str) -> Project:
    """The project of this slug. Raises CommandError where there is none."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise CommandError(f"there is no project {slug!r}")
    return project
