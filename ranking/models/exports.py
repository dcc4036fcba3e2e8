"""A data file of a frozen dataset, and the job that writes it."""

from django.db import models
from django.db.models import Q

from annotation.jobs import Job
from annotation.models import User
from ranking.export.choice import Choice
from ranking.models.datasets import Dataset


class ExportRun(Job):
    """One way to write a dataset. There is one row for each, so whoever asks for the
    same file waits for the same job; once it is done, the row says what the file is.
    """

    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, related_name="exports"
    )
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # As in `ranking.export.choice`.
    kind = models.CharField(max_length=20)
    format = models.CharField(max_length=10)
    disagreement = models.CharField(max_length=10)
    split = models.CharField(max_length=10)
    prompts_done = models.PositiveIntegerField(default=0)
    prompts_total = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0)  # bytes
    rows = models.PositiveBigIntegerField(default=0)
    # When its file went, since nobody keeps files for ever (ranking.expiry).
    removed_at = models.DateTimeField(null=True)

    class Meta(Job.Meta):
        constraints = [
            *Job.Meta.constraints,
            models.UniqueConstraint(
                fields=["dataset", "kind", "format", "disagreement", "split"],
                name="a_file_is_written_by_one_job",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | ~Q(sha256=""),
                name="a_written_file_has_a_hash",
            ),
            models.CheckConstraint(
                condition=Q(removed_at__isnull=True) | ~Q(sha256=""),
                name="a_removed_file_was_written",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.choice.name}"

    @property
    def choice(self) -> Choice:
        """What is written."""
        return Choice(
            kind=self.kind,
            format=self.format,
            disagreement=self.disagreement,
            split=self.split,
        )
