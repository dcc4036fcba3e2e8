"""Training runs and the reward models they made."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.jobs import Job
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
    # What evaluation.json of the folder says: rm_training.evaluation.report. Null: the
    # model is older than evaluations.
    evaluation = models.JSONField(null=True)
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
