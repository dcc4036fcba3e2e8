"""What labelers answered: append-only."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from annotation.models import Assignment, Instructions, Project, Response
from ranking.models.withdrawals import Withdrawal


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
