"""The frozen snapshots that researchers take of rankings."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.jobs import Job
from annotation.models import Membership, Project, Prompt, User
from ranking.models.rankings import Ranking


class Dataset(models.Model):
    """A frozen set of rankings: the same filter and rankings give the same dataset."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    # `ds-` and 12 hex digits of the hash of its content.
    name = models.CharField(max_length=20)
    content_sha256 = models.CharField(max_length=64)
    filters = models.JSONField()
    # Of everything that is drawn from it: folds by labeler.
    seed = models.PositiveIntegerField(default=0, db_default=0)
    counts = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    rankings = models.ManyToManyField(Ranking, through="DatasetRanking")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="a_dataset_is_frozen_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DatasetRanking(models.Model):
    """A ranking that a dataset holds."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT)
    ranking = models.ForeignKey(Ranking, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "ranking"], name="a_dataset_holds_a_ranking_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}:{self.ranking_id}"


class FreezeRun(Job):
    """A job that freezes a dataset. What it is to hold is decided when it runs."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    filters = models.JSONField()  # Filters.as_json
    seed = models.PositiveIntegerField(default=0)
    prompts_done = models.PositiveIntegerField(default=0)
    prompts_total = models.PositiveIntegerField(default=0)
    dataset = models.ForeignKey(Dataset, null=True, on_delete=models.PROTECT)

    class Meta(Job.Meta):
        pass

    def __str__(self) -> str:
        return f"freeze {self.pk}"


class DatasetLoss(models.Model):
    """Something that a frozen dataset held is gone: it cannot be written out again.

    Never changed. A dataset may lose several things, each of them once.
    """

    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, related_name="losses"
    )
    # One of the two: a prompt that was taken down, or a labeler who is forgotten.
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.PROTECT)
    labeler = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT)
    reason = models.CharField(max_length=300)
    lost_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "prompt"], name="a_dataset_loses_a_prompt_once"
            ),
            models.UniqueConstraint(
                fields=["dataset", "labeler"], name="a_dataset_loses_a_labeler_once"
            ),
            models.CheckConstraint(
                condition=Q(prompt__isnull=True) ^ Q(labeler__isnull=True),
                name="a_loss_is_of_a_prompt_or_a_labeler",
            ),
        ]

    def __str__(self) -> str:
        return self.reason
