"""Training runs, when they start by themselves, the reward models they made, and files
that these score."""

from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.jobs import Job, JobState
from annotation.models import Project, User
from ranking.models import Dataset


class TrainingRun(Job):
    """A job that trains one reward model on one frozen dataset.

    One that failed or was cancelled may be queued again: it goes on from its last
    checkpoint as a further attempt, with the same data and settings.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    # Null: all rankings that count, frozen by the worker before it trains.
    dataset = models.ForeignKey(Dataset, null=True, on_delete=models.PROTECT)
    # How far that freeze is.
    prompts_done = models.PositiveIntegerField(default=0)
    prompts_total = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    base_model = models.CharField(max_length=500)
    # rm_training.config.TrainingConfig as JSON, frozen when the run was asked for.
    config = models.JSONField()
    step = models.PositiveIntegerField(default=0)
    steps_total = models.PositiveIntegerField(default=0)
    phase = models.CharField(max_length=100, blank=True)

    class Meta(Job.Meta):
        constraints = [
            *Job.Meta.constraints,
            models.CheckConstraint(
                condition=~Q(state="done") | Q(dataset__isnull=False),
                name="a_done_run_has_a_dataset",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"


class NoteKind(models.TextChoices):
    """What a line of a run's log is about."""

    PHASE = "phase"
    NOTE = "note"
    PROBLEM = "problem"


class RunNote(models.Model):
    """A line of a run's log: what began, what a reader should know, what went wrong."""

    run = models.ForeignKey(TrainingRun, on_delete=models.PROTECT, related_name="notes")
    # 0: written by the site, before or after the attempts.
    attempt = models.PositiveIntegerField(default=0)
    kind = models.CharField(max_length=10, choices=NoteKind, default=NoteKind.NOTE)
    text = models.CharField(max_length=1000)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.text


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
    # How it did beside the one in use, and what was decided: rm_training.contest.
    # Null: it was the project's first, or is older than comparisons.
    comparison = models.JSONField(null=True)
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


class When(models.TextChoices):
    """When a project trains by itself."""

    OFF = "off", "Only when asked for"
    RANKINGS = "rankings", "After so many new rankings"
    DAY = "day", "Every day"
    WEEK = "week", "Every week"


class Weekday(models.IntegerChoices):
    """As Python counts them."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


class Retraining(models.Model):
    """When a project trains by itself, from what, and when a new model is put to use.

    A project without a row never does, and its margin is the default.
    """

    project = models.OneToOneField(Project, on_delete=models.PROTECT)
    when = models.CharField(max_length=10, choices=When, default=When.OFF)
    every_rankings = models.PositiveIntegerField(
        default=500, validators=[MinValueValidator(1)]
    )
    weekday = models.PositiveSmallIntegerField(choices=Weekday, default=Weekday.MONDAY)
    hour = models.PositiveSmallIntegerField(
        default=3, validators=[MaxValueValidator(23)], help_text="UTC."
    )
    base_model = models.CharField(max_length=500, blank=True)
    # rm_training.config.TrainingConfig as JSON.
    config = models.JSONField(default=dict)
    # Points of accuracy that a new model may be worse by, at the lower end of the
    # interval. Null: a person always decides.
    margin = models.FloatField(
        null=True,
        blank=True,
        default=1.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(100.0)],
    )
    # Times of the schedule until here need no run any more.
    served_until = models.DateTimeField(db_default=Now())
    # Rankings that count and no freeze takes: their prompts join two splits.
    left_out = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=500, blank=True)
    outcome_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(when__in=When.values), name="retraining_when_is_known"
            ),
            models.CheckConstraint(
                condition=Q(every_rankings__gte=1),
                name="retraining_waits_for_a_ranking",
            ),
            models.CheckConstraint(
                condition=Q(hour__lte=23, weekday__lte=6),
                name="retraining_has_an_hour_and_a_weekday",
            ),
            models.CheckConstraint(
                condition=Q(margin__isnull=True) | Q(margin__gte=0, margin__lte=100),
                name="retraining_margin_is_in_points",
            ),
        ]

    def __str__(self) -> str:
        return f"retraining of project {self.project_id}"


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
