"""What labelers answered, and the frozen snapshots that researchers take of it."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from annotation.jobs import Job
from annotation.models import (
    Assignment,
    Instructions,
    Membership,
    Project,
    Prompt,
    Response,
    User,
)
from ranking.file_import import FileImport as FileImport


class RankingStatus(models.TextChoices):
    """Decided when the ranking is stored, never changed."""

    COUNTED = "counted"
    LATE = "late"  # its slot had gone to somebody else
    SURPLUS = "surplus"  # its slot had been filled by somebody else


class RenderMode(models.TextChoices):
    """How the labeler had the responses shown."""

    RICH = "rich"  # Markdown as a page
    RAW = "raw"  # the text as the model wrote it


class RankingQuerySet(models.QuerySet["Ranking"]):
    """Rankings by what they count for."""

    def current(self) -> "RankingQuerySet":
        """Those that no later revision replaces.

        As NOT EXISTS: of an outer join with IS NULL Postgres expects hardly any rows,
        and then looks up a hundred thousand of them one by one.
        """
        revisions = Ranking.objects.filter(revises=models.OuterRef("pk"))
        return self.filter(~models.Exists(revisions))

    def not_withdrawn(self, *, but: int | None = None) -> "RankingQuerySet":
        """Without those of labelers whose work is withdrawn, `but` one of them."""
        withdrawn = Withdrawal.objects.in_force().exclude(labeler=but)
        whose = OuterRef("assignment__labeler")
        return self.filter(~Exists(withdrawn.filter(labeler=whose)))


class Ranking(models.Model):
    """One labeler's weak order over all responses of one prompt.

    Append-only: a correction is a new row that revises this one. A trigger of the
    database refuses UPDATE and DELETE, and another one checks at commit that every
    response of the prompt is placed exactly once, in ranks 1..T without gaps.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT)
    revises = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="revision"
    )
    status = models.CharField(max_length=10, choices=RankingStatus)
    submission_uuid = models.UUIDField(unique=True)
    body_sha256 = models.CharField(max_length=64)
    external_id = models.CharField(max_length=200, null=True)  # noqa: DJ001  null: ours
    instructions = models.ForeignKey(Instructions, null=True, on_delete=models.PROTECT)
    active_seconds = models.FloatField(null=True)
    note = models.TextField(blank=True)
    # How the texts were shown: format bias is something we measure.
    render_mode = models.CharField(max_length=4, choices=RenderMode, null=True)  # noqa: DJ001  null: imported
    # Pairs whose ratings and ranks say opposite things; null without ratings.
    contradictions = models.PositiveSmallIntegerField(null=True)
    telemetry = models.JSONField(default=dict)
    submitted_at = models.DateTimeField(db_default=Now())
    stored_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = RankingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["assignment"],
                condition=Q(revises__isnull=True),
                name="an_assignment_has_one_first_ranking",
            ),
            models.UniqueConstraint(
                fields=["project", "external_id"],
                condition=Q(external_id__isnull=False),
                name="imported_ranking_ids_differ_within_a_project",
            ),
            models.CheckConstraint(
                condition=Q(status__in=RankingStatus.values),
                name="ranking_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(render_mode__isnull=True)
                | Q(render_mode__in=RenderMode.values),
                name="render_mode_is_known",
            ),
            models.CheckConstraint(
                condition=Q(active_seconds__isnull=True) | Q(active_seconds__gte=0),
                name="ranking_time_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"ranking {self.pk}"


class Placement(models.Model):
    """Where one response stands in one ranking. Rank 1 is best; equal is a tie."""

    ranking = models.ForeignKey(
        Ranking, on_delete=models.PROTECT, related_name="placements"
    )
    response = models.ForeignKey(Response, on_delete=models.PROTECT)
    rank = models.PositiveSmallIntegerField()
    # What an imported file said, which may have gaps and start anywhere.
    raw_rank = models.BigIntegerField(null=True)
    rating = models.PositiveSmallIntegerField(null=True)  # 1 … 7, 7 is best
    # Of the project's own, as they were called when the ranking was made.
    flags = ArrayField(models.CharField(max_length=60), default=list, db_default=[])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "response"], name="a_response_is_placed_once"
            ),
            models.CheckConstraint(condition=Q(rank__gte=1), name="ranks_start_at_one"),
            models.CheckConstraint(
                condition=Q(rating__isnull=True) | Q(rating__gte=1, rating__lte=7),
                name="ratings_go_from_one_to_seven",
            ),
        ]

    def __str__(self) -> str:
        return f"rank {self.rank}"


class WithdrawalQuerySet(models.QuerySet["Withdrawal"]):
    """Withdrawals, ended ones included."""

    def in_force(self) -> "WithdrawalQuerySet":
        """Those that nobody has ended."""
        return self.filter(ended_at__isnull=True)


class Withdrawal(models.Model):
    """All that one labeler ranked counts for nothing, until somebody ends this.

    The rankings stay as they are, and so do the datasets that hold them. While it is
    in force a trigger keeps the labeler paused, and nobody deletes it.
    """

    labeler = models.ForeignKey(
        Membership, on_delete=models.PROTECT, related_name="withdrawals"
    )
    reason = models.CharField(max_length=300)
    withdrawn_at = models.DateTimeField(db_default=Now(), editable=False)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = WithdrawalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["labeler"],
                condition=Q(ended_at__isnull=True),
                name="a_labeler_is_withdrawn_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="somebody_ends_a_withdrawal",
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class PromptSummary(models.Model):
    """All rankings of a work prompt, ready to be summed with those of others.

    Made anew, whole, from the prompt's rankings by whoever stores one, in the same
    transaction and under the prompt's lock; never added to (`ranking.summary_sql`,
    where the columns of records are described). A prompt that nobody has ranked has
    no row; `rankings` says how many of them count.
    """

    prompt = models.OneToOneField(Prompt, primary_key=True, on_delete=models.PROTECT)
    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    k = models.PositiveSmallIntegerField()
    rankings = models.PositiveIntegerField()
    newest_at = models.DateTimeField()
    judged = models.BinaryField()
    compared = models.BinaryField()
    worked = models.BinaryField(db_default=b"")
    sizes = models.BinaryField(db_default=b"")

    def __str__(self) -> str:
        return f"summary of {self.prompt_id}"


class Draft(models.Model):
    """A ranking in the making: what the labeler's page saved last."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE)
    # Raised by every save; a page that saves over a newer one is told so.
    rev = models.PositiveIntegerField()
    # {"ranks": {"A": 1}, "ratings": {}, "flags": {}, "note": ""}, by letters.
    content = models.JSONField()
    saved_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"rev {self.rev}"


class RefusedSubmission(models.Model):
    """A ranking that was refused because another one is stored: both are kept."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT)
    submission_uuid = models.UUIDField()
    reason = models.CharField(max_length=200)
    content = models.JSONField()
    refused_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"refused {self.submission_uuid}"


class Split(models.TextChoices):
    """Learn on train, choose on valid1, report on valid2."""

    TRAIN = "train"
    VALID1 = "valid1"
    VALID2 = "valid2"


class PromptSplit(models.Model):
    """The split a prompt has in every dataset, fixed when it first enters one."""

    prompt = models.OneToOneField(Prompt, on_delete=models.PROTECT)
    # Prompts of one near-duplicate group share a split.
    group = models.CharField(max_length=64, db_index=True)
    split = models.CharField(max_length=10, choices=Split)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(split__in=Split.values), name="split_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.split


class PromptFingerprint(models.Model):
    """What finds a prompt's near-duplicates: `ranking.near_duplicates`. Never changed.

    Made when the prompt is first asked about by a freeze, and kept, so that later ones
    need not read its text again.
    """

    prompt = models.OneToOneField(
        Prompt, primary_key=True, on_delete=models.PROTECT, related_name="fingerprint"
    )
    text_sha256 = models.CharField(max_length=64)  # splits.group_of
    signature = models.BinaryField()  # 128 numbers of 4 bytes, little-endian
    bands = ArrayField(models.BigIntegerField())

    class Meta:
        indexes = [
            GinIndex(
                fields=["bands"],
                name="near_duplicates_share_a_band",
                # Entries that wait to be sorted in would be read by every search.
                fastupdate=False,
            )
        ]

    def __str__(self) -> str:
        return f"fingerprint of {self.prompt_id}"


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
