"""Projects, and the people in them."""

import hmac
import secrets

from django.contrib.postgres.fields import ArrayField
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
    # Set while it is closed: nothing is handed out, all that is there can be read.
    closed_at = models.DateTimeField(null=True, editable=False)

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
    data_licence = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="Of what is exported, as in cc-by-4.0. Empty: none is named.",
    )
    labelers_see_agreement = models.BooleanField(
        default=False, help_text="Labelers see their own agreement with others."
    )

    rate_first = models.BooleanField(
        default=False,
        help_text="Each response is rated from 1 to 7 before the ranking is made.",
    )
    flags = ArrayField(
        models.CharField(max_length=60),
        default=list,
        blank=True,
        size=12,
        help_text="What labelers can say of a response besides its rank.",
    )
    show_word_counts = models.BooleanField(
        default=False,
        help_text="Labelers see how long a response is, which may bias them.",
    )
    bad_prompt_votes = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="So many labelers must call a prompt bad to take it out.",
    )
    editable_rankings = models.PositiveSmallIntegerField(
        default=5,
        validators=[MaxValueValidator(50)],
        help_text="How many of their latest rankings labelers may still correct.",
    )
    editable_minutes = models.PositiveSmallIntegerField(
        default=60,
        validators=[MaxValueValidator(7 * 24 * 60)],
        help_text="For how long after it was submitted a ranking may be corrected.",
    )
    gold_fraction = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.5)],
        help_text="Share of served prompts that are gold: their order is known.",
    )
    repeat_fraction = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.5)],
        help_text="Share of served prompts that a labeler has ranked before.",
    )
    qualification_threshold = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Share of strict pairs of the qualification prompts that a labeler"
        " must order as their gold does. Empty: no test.",
    )
    # Raised whenever work is put where a labeler may have passed already.
    queue_version = models.BigIntegerField(default=0, editable=False)

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
                    gold_fraction__gte=0,
                    gold_fraction__lte=0.5,
                    repeat_fraction__gte=0,
                    repeat_fraction__lte=0.5,
                ),
                name="shares_of_checks_are_at_most_half",
            ),
            models.CheckConstraint(
                condition=Q(qualification_threshold__isnull=True)
                | Q(qualification_threshold__gte=0, qualification_threshold__lte=1),
                name="qualification_threshold_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(bad_prompt_votes__gte=1),
                name="a_bad_prompt_needs_a_vote",
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


class Qualification(models.TextChoices):
    """Where a labeler stands with the test that gates entry, if there is one."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


class Membership(models.Model):
    """One person's one role in one project."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    user = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # A paused member may look at their own numbers, and is handed no work.
    paused_at = models.DateTimeField(null=True, blank=True)
    # Since then the project is closed to them. The row stays: it says who ranked what.
    revoked_at = models.DateTimeField(null=True, blank=True)
    qualification = models.CharField(
        max_length=10, choices=Qualification, default=Qualification.PENDING
    )
    # Null while pending; who decided is null for the test itself.
    qualification_decided_at = models.DateTimeField(null=True)
    qualification_decided_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Their name, account and words are gone; ids, ranks and the pseudonym stay.
    forgotten_at = models.DateTimeField(null=True, editable=False)
    # The queue's memory of a labeler: no open slot up to this place is theirs to take,
    # as long as the project's queue has this version.
    cursor_seq = models.BigIntegerField(default=-1, editable=False)
    cursor_slot = models.SmallIntegerField(default=-1, editable=False)
    cursor_version = models.BigIntegerField(default=-1, editable=False)
    cursor_reset_at = models.DateTimeField(null=True, editable=False)

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
                condition=Q(forgotten_at__isnull=True) | Q(user__isnull=True),
                name="who_is_forgotten_has_no_account",
            ),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="role_is_known"
            ),
            models.CheckConstraint(
                condition=Q(qualification__in=Qualification.values)
                & (
                    Q(qualification="pending")
                    ^ Q(qualification_decided_at__isnull=False)
                ),
                name="a_qualification_is_pending_or_decided",
            ),
        ]

    def __str__(self) -> str:
        return self.name
