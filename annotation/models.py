"""Projects, people, prompts with their responses, and who is asked to rank what."""

import hmac
import secrets
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from annotation.jobs import Job

FEWEST_RESPONSES, MOST_RESPONSES = 4, 9
FEWEST_ARCHIVED = 2  # an archive takes foreign pairs
MAX_TEXT_BYTES = 2_000_000  # UTF-8, per prompt and per response


def random_key() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(32)


def random_token() -> str:
    """A name that cannot be guessed and says nothing about order or content."""
    return secrets.token_urlsafe(16)


class UserManager(BaseUserManager["User"]):
    """Makes accounts; e-mail addresses are compared without case."""

    def create_user(self, email: str, password: str | None = None) -> "User":
        """An account; without a password it can be entered by a sign-in link only."""
        user = self.model(email=email.strip().lower())
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """The account of an e-mail address, whatever its case."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """Someone who can sign in."""

    email = models.EmailField(max_length=254, unique=True)
    is_active = models.BooleanField(default=True)
    is_site_admin = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="an_email_address_has_one_account"
            )
        ]

    def __str__(self) -> str:
        return self.email


class SignInLink(models.Model):
    """A link that signs its bearer in once. Only a hash of its token is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    token_sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link of {self.user}"


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


class Purpose(models.TextChoices):
    """Why a prompt is ranked; only work counts in agreement and datasets."""

    WORK = "work"
    TRAINING = "training"
    QUALIFICATION = "qualification"
    GOLD = "gold"


class PromptQuerySet(models.QuerySet["Prompt"]):
    """Prompts of a project."""

    def awaiting_responses(self) -> "PromptQuerySet":
        """Prompts that have no response and whose sampling has not failed."""
        responses = Response.objects.filter(prompt=models.OuterRef("pk"))
        return self.filter(~models.Exists(responses), failure="")


class Prompt(models.Model):
    """What the SFT model was asked: messages, the last one the user's."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    external_id = models.CharField(max_length=200)
    messages = models.JSONField()
    tags = ArrayField(models.CharField(max_length=100), default=list)
    purpose = models.CharField(max_length=20, choices=Purpose, default=Purpose.WORK)
    gold = models.JSONField(null=True)
    metadata = models.JSONField(default=dict)
    # What the line of the imported file said, to tell "unchanged" from "changed".
    line_sha256 = models.CharField(max_length=64)
    overlap = models.PositiveSmallIntegerField(default=1)
    failure = models.CharField(
        max_length=300, blank=True, help_text="Why no responses could be sampled."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"],
                name="prompt_ids_differ_within_a_project",
            ),
            models.CheckConstraint(
                condition=Q(purpose__in=Purpose.values), name="purpose_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


class Response(models.Model):
    """One answer to a prompt, with where it came from. Never changed once made."""

    prompt = models.ForeignKey(
        Prompt, on_delete=models.PROTECT, related_name="responses"
    )
    external_id = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    model = models.CharField(max_length=500, null=True)  # noqa: DJ001  null: unknown
    params = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "external_id"],
                name="response_ids_differ_within_a_prompt",
            )
        ]

    def __str__(self) -> str:
        return self.external_id


class GenerationRun(Job):
    """A job that samples responses for the prompts that have none."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)
    # The sampling settings as they were when the job was asked for.
    settings = models.JSONField()
    prompts_total = models.PositiveIntegerField(default=0)
    prompts_done = models.PositiveIntegerField(default=0)
    prompts_failed = models.PositiveIntegerField(default=0)

    class Meta(Job.Meta):
        constraints = [
            *Job.Meta.constraints,
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state__in=["queued", "running"]),
                name="one_generation_at_a_time_per_project",
            ),
        ]


class AssignmentState(models.TextChoices):
    """Where a slot of the queue stands."""

    OPEN = "open"  # nobody has it
    CLAIMED = "claimed"  # somebody has it until the lease ends, or longer if unclaimed
    COMPLETED = "completed"  # it holds a ranking that counts
    EXPIRED = "expired"  # its lease ran out and its slot went to somebody else
    SKIPPED = "skipped"  # its labeler gave it back with a reason


class AssignmentSource(models.TextChoices):
    """Whether the queue handed it out, or an import brought it along."""

    QUEUE = "queue"
    IMPORTED = "imported"


class Assignment(models.Model):
    """One labeler asked (or to be asked) to rank one prompt.

    Rows are made ahead: a prompt with overlap 3 has three open ones, so handing out
    work is taking a row, and no count has to be kept. When a lease ran out and
    somebody else takes the slot, the old row stays as `expired` with its labeler and
    token, so that a late answer still finds its place, and a new row takes the slot.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT)
    slot = models.PositiveSmallIntegerField()
    repeat = models.PositiveSmallIntegerField(default=0)
    source = models.CharField(
        max_length=10, choices=AssignmentSource, default=AssignmentSource.QUEUE
    )
    pool = models.CharField(max_length=10, default="random")
    # Place in the queue: random, so that it says nothing about the import's order.
    seq = models.BigIntegerField(default=0)
    state = models.CharField(
        max_length=10, choices=AssignmentState, default=AssignmentState.OPEN
    )
    labeler = models.ForeignKey(Membership, null=True, on_delete=models.PROTECT)
    token = models.CharField(max_length=40, unique=True, default=random_token)
    # Indices into the prompt's responses sorted by id; first shown first.
    display_order = ArrayField(models.PositiveSmallIntegerField(), null=True)
    instructions = models.ForeignKey(Instructions, null=True, on_delete=models.PROTECT)
    claimed_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "labeler", "repeat"],
                condition=Q(labeler__isnull=False),
                name="a_prompt_comes_once_to_a_labeler",
            ),
            models.UniqueConstraint(
                fields=["prompt", "slot"],
                condition=Q(source="queue")
                & Q(state__in=["open", "claimed", "completed"]),
                name="a_slot_is_held_once",
            ),
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(state="claimed"),
                name="a_labeler_holds_one_prompt_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state="open") ^ Q(labeler__isnull=False),
                name="an_assignment_is_open_or_has_a_labeler",
            ),
            models.CheckConstraint(
                condition=~Q(state="claimed") | Q(lease_until__isnull=False),
                name="a_claim_has_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(state__in=AssignmentState.values)
                & Q(source__in=AssignmentSource.values)
                & Q(pool__in=["random", "targeted"]),
                name="assignment_words_are_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "seq", "slot"],
                condition=Q(state__in=["open", "claimed"]),
                name="assignment_queue",
            ),
            models.Index(
                fields=["labeler", "prompt"], name="assignment_labeler_prompt"
            ),
        ]

    def __str__(self) -> str:
        return self.token
