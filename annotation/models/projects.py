"""Projects, the people in them, and what these are told."""

import hmac
import secrets

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from annotation.models.accounts import User

FEWEST_RESPONSES, MOST_RESPONSES = 4, 9
FEWEST_ARCHIVED = 2  # an archive takes foreign pairs


def random_key() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(32)


class Role(models.TextChoices):
    """What a member may do in a project; the table is in the README."""

    LABELER = "labeler"
    RESEARCHER = "researcher"
    ADMIN = "admin"


class Project(models.Model):
    """One body of prompts, ranked by one group of people."""

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=200)
    archive = models.BooleanField(
        default=False, help_text="Takes imports only; nothing is served for ranking."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)

    overlap = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="How many labelers rank each prompt of the overlap fraction.",
    )
    overlap_fraction = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share of prompts that get the overlap; the others get one labeler.",
    )
    lease_minutes = models.PositiveSmallIntegerField(
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 60)],
        help_text="How long a prompt is held for a labeler who is away.",
    )
    labelers_see_agreement = models.BooleanField(
        default=False, help_text="Labelers see their own agreement with others."
    )

    sft_model = models.CharField(
        max_length=500, blank=True, help_text="Directory or hub id of a causal LM."
    )
    k_min = models.PositiveSmallIntegerField(
        default=FEWEST_RESPONSES, help_text="Fewest responses sampled per prompt."
    )
    k_max = models.PositiveSmallIntegerField(
        default=MOST_RESPONSES, help_text="Most responses sampled per prompt."
    )
    temperature = models.FloatField(default=1.0)
    top_p = models.FloatField(default=0.95)
    max_new_tokens = models.PositiveIntegerField(default=256)
    seed = models.PositiveIntegerField(default=0)

    # Never shown: makes the pseudonyms of this project's datasets.
    pseudonym_key = models.BinaryField(default=random_key, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(overlap__gte=1), name="overlap_is_at_least_one"
            ),
            models.CheckConstraint(
                condition=Q(overlap_fraction__gte=0, overlap_fraction__lte=1),
                name="overlap_fraction_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(
                    k_min__gte=FEWEST_RESPONSES,
                    k_max__lte=MOST_RESPONSES,
                    k_min__lte=F("k_max"),
                ),
                name="sampled_responses_are_four_to_nine",
            ),
            models.CheckConstraint(
                condition=Q(temperature__gt=0, top_p__gt=0, top_p__lte=1),
                name="sampling_settings_are_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def fewest_responses(self) -> int:
        """The fewest responses that an imported prompt may have here."""
        return FEWEST_ARCHIVED if self.archive else FEWEST_RESPONSES

    def pseudonym(self, membership_id: int) -> str:
        """`L-` + 8 characters: the same in every dataset of this project only."""
        digest = hmac.new(
            bytes(self.pseudonym_key), str(membership_id).encode(), "sha256"
        )
        return f"L-{digest.hexdigest()[:8]}"


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Members of projects."""

    def with_account(self) -> "MembershipQuerySet":
        """Those who can sign in; the others came with imported rankings."""
        return self.filter(user__isnull=False)


class Membership(models.Model):
    """One person's one role in one project."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    user = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"], name="one_role_per_person_and_project"
            ),
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(user__isnull=False),
                name="member_names_differ_within_a_project",
            ),
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(user__isnull=True),
                name="imported_labeler_names_differ_within_a_project",
            ),
            models.CheckConstraint(
                condition=Q(user__isnull=False) | Q(role=Role.LABELER),
                name="a_member_without_account_is_an_imported_labeler",
            ),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Instructions(models.Model):
    """What labelers are told. A change is a new version; old ones stay as they were."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    version = models.PositiveIntegerField()
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)

    class Meta:
        verbose_name_plural = "instructions"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "version"], name="instruction_versions_are_numbered"
            )
        ]

    def __str__(self) -> str:
        return f"version {self.version}"
