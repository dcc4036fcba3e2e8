"""A file that was sent here, and the job that looks at it or imports it."""

from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.importing import ImportMode
from annotation.jobs import Job
from annotation.models import Project, User
from ranking.foreign.formats import FORMATS

PROMPTS, RANKINGS = "prompts", "rankings"
SHAPES: Final = {
    PROMPTS: "Prompts file",
    RANKINGS: "Rankings file",
    **{name: shape.label for name, shape in FORMATS.items()},
}
MODES: Final = {
    ImportMode.DRY_RUN.name: "dry run",
    ImportMode.WHOLE.name: "all or nothing",
    ImportMode.PARTIAL.name: "the good lines",
}
FILES_AT: Final = "imports"  # below VAR_DIR


class FileImport(Job):
    """One uploaded file. A dry run comes first, and its import needs no second upload.

    The file lies under a name of our own making and is deleted once it was imported;
    the report stays.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )
    shape = models.CharField(max_length=20)
    mode = models.CharField(max_length=10, default=ImportMode.DRY_RUN.name)
    # Of a table: what it calls our columns, {theirs: ours}.
    columns = models.JSONField(default=dict)
    # As the sender called it, for people to read; never a path.
    file_name = models.CharField(max_length=200, blank=True)
    stored_as = models.UUIDField(default=uuid4, unique=True, editable=False)
    size = models.BigIntegerField()  # bytes, as they were sent
    done = models.BigIntegerField(default=0)  # bytes read of them, in this run
    lines = models.PositiveIntegerField(default=0)
    imported = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    warnings = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list)

    class Meta(Job.Meta):
        constraints = [
            *Job.Meta.constraints,
            models.CheckConstraint(
                condition=Q(shape__in=list(SHAPES)) & Q(mode__in=list(MODES)),
                name="file_import_words_are_known",
            ),
            models.CheckConstraint(
                condition=Q(size__gte=0, done__gte=0), name="file_import_sizes"
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or f"file {self.pk}"

    @property
    def path(self) -> Path:
        """Where the file lies, for as long as it does."""
        return Path(settings.VAR_DIR) / FILES_AT / self.stored_as.hex

    @property
    def is_here(self) -> bool:
        """Whether the file can still be read."""
        return self.path.exists()

    @property
    def shape_label(self) -> str:
        """The format in words."""
        return SHAPES[self.shape]

    @property
    def mode_label(self) -> str:
        """The mode in words."""
        return MODES[self.mode]

    @property
    def is_dry(self) -> bool:
        """Whether this run writes nothing."""
        return self.mode == ImportMode.DRY_RUN.name

    @property
    def may_import(self) -> bool:
        """Whether there is something to import, and the file to do it from."""
        looked_at = self.state == "done" and (
            self.is_dry or (self.mode == ImportMode.WHOLE.name and self.refused > 0)
        )
        return looked_at and self.imported > 0 and self.is_here

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers of the import report."""
        names = ("lines", "imported", "unchanged", "refused", "warnings")
        return {name: getattr(self, name) for name in names}
