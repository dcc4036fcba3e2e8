"""What labelers are told. A change is a new version; old ones stay as they were."""

from django.db import transaction

from annotation.models import Instructions, Project, User


@transaction.atomic
def write_instructions(
    project: Project, *, text: str, user: User | None
) -> Instructions:
    """Add the next version; the text in force, written again, gives that version.

    1. The project's row is locked, so two admins write two versions one after the
       other (`instruction_versions_are_numbered` has the last word).
    """
    Project.objects.select_for_update(no_key=True, of=("self",)).get(pk=project.pk)
    current = current_instructions(project)
    if current is not None and current.text == text:
        return current
    return Instructions.objects.create(
        project=project,
        version=current.version + 1 if current else 1,
        text=text,
        created_by=user,
    )


def current_instructions(project: Project) -> Instructions | None:
    """The newest version. One query."""
    versions = Instructions.objects.filter(project=project)
    return versions.order_by("-version").first()
