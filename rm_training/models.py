"""Training runs, the reward models they made, and files that these score."""

from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.jobs import Job, JobState
from annotation.models import Project, User
from ranking.models import Dataset


class TrainingRun(Job):
    """A job that trains one reward model on one frozen dataset."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    base_model = models.CharField(max_length=500)
    # rm_training.config.TrainingConfig as JSON, frozen when the run was asked for.
    config = models.JSONField()
    step = models.PositiveIntegerField(default=0)
    steps_total = models.PositiveIntegerField(default=0)
    phase = models.CharField(max_length=100, blank=True)

    class Meta(Job.Meta):
        pass

    def __str__(self) -> str:
        return f"run {self.pk}"


class TrainingMetric(models.Model):
    """What one step of a run measured: loss, and accuracy where it was evaluated."""

    run = models.ForeignKey(
        TrainingRun, on_delete=models.PROTECT, related_name="metrics"
    )
    attempt = models.PositiveIntegerField()
    step = models.PositiveIntegerField()
    values = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["step"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step"], name="a_step_is_measured_once"
            )
        ]

    def __str__(self) -> str:
        return f"step {self.step}"


class RewardModel(models.Model):
    """A published directory of weights; earlier ones stay."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    run = models.OneToOneField(
        TrainingRun, on_delete=models.PROTECT, related_name="reward_model"
    )
    # Folder below MODEL_ROOT, and the hash of its manifest.
    folder = models.CharField(max_length=200, unique=True)
    manifest_sha256 = models.CharField(max_length=64)
    metrics = models.JSONField()
    in_use = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(in_use=True),
                name="one_reward_model_in_use_per_project",
            )
        ]

    def __str__(self) -> str:
        return self.folder


class ScoredFile(Job):
    """A file of prompts and responses that was sent here, and the job that scores it.

    It lies under a name of our own making until it is scored; then its rewards lie
    beside that place until somebody deletes them, or they are forgotten.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    reward_model = models.ForeignKey(
        RewardModel, on_delete=models.PROTECT, related_name="scored_files"
    )
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # As the sender called it, for people to read; never a path.
    file_name = models.CharField(max_length=200, blank=True)
    stored_as = models.UUIDField(default=uuid4, unique=True, editable=False)
    sent_bytes = models.BigIntegerField()
    read_bytes = models.BigIntegerField(default=0)
    scored = models.PositiveIntegerField(default=0)
    responses = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    # The first of the refused lines: {"line", "message"}.
    problems = models.JSONField(default=list)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0)  # bytes of the rewards

    class Meta(Job.Meta):
        constraints = [
            *Job.Meta.constraints,
            models.CheckConstraint(
                condition=~Q(state="done") | ~Q(sha256=""),
                name="a_scored_file_has_a_hash",
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or f"file {self.pk}"

    @property
    def folder(self) -> Path:
        """Where the file lies and its rewards are written."""
        return Path(settings.VAR_DIR) / "scored" / self.stored_as.hex

    @property
    def sent(self) -> Path:
        """The file as it was sent, until it is scored."""
        return self.folder / "sent"

    @property
    def rewards(self) -> Path:
        """What this attempt writes: one that lost the job writes to another place."""
        return self.folder / f"rewards-{self.attempt}.jsonl"

    @property
    def is_here(self) -> bool:
        """Whether there is a file to download."""
        return self.state == JobState.DONE and self.rewards.exists()
