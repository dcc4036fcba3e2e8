"""Who is asked to rank what."""

import secrets

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.models.accounts import User
from annotation.models.instructions import Instructions
from annotation.models.projects import Membership, Project
from annotation.models.prompts import Prompt


def random_token() -> str:
    """A name that cannot be guessed and says nothing about order or content."""
    return secrets.token_urlsafe(16)


class AssignmentState(models.TextChoices):
    """Where a slot of the queue stands."""

    OPEN = "open"  # nobody has it
    PREFETCHED = "prefetched"  # loaded ahead for somebody who has not seen it yet
    CLAIMED = "claimed"  # somebody has it until the lease ends, or longer if unclaimed
    COMPLETED = "completed"  # it holds a ranking that counts
    EXPIRED = "expired"  # its lease ran out and its slot went to somebody else
    SKIPPED = "skipped"  # its labeler gave it back with a reason


class AssignmentSource(models.TextChoices):
    """Whose row it is: a slot of the queue, or one outside it."""

    QUEUE = "queue"
    IMPORTED = "imported"  # an import brought it along
    DIRECT = "direct"  # made for one labeler: training, qualification, gold, a repeat


class SkipReason(models.TextChoices):
    """Why a labeler gave a prompt back for good."""

    BAD_PROMPT = "bad_prompt", "The prompt is bad"
    ALL_BAD = "all_bad", "All responses are bad"
    CANNOT_JUDGE = "cannot_judge", "I cannot judge this"
    OTHER = "other", "Another reason"


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
    # Place in the queue: see annotation.slots.place.
    seq = models.BigIntegerField(default=0)
    state = models.CharField(
        max_length=10, choices=AssignmentState, default=AssignmentState.OPEN
    )
    # Without an index of its own: for a labeler whom the statistics do not know, the
    # planner would take it and read all that they ever did. The one below serves both.
    labeler = models.ForeignKey(
        Membership, null=True, on_delete=models.PROTECT, db_index=False
    )
    token = models.CharField(max_length=40, unique=True, default=random_token)
    # Indices into the prompt's responses sorted by id; first shown first.
    display_order = ArrayField(models.PositiveSmallIntegerField(), null=True)
    instructions = models.ForeignKey(Instructions, null=True, on_delete=models.PROTECT)
    claimed_at = models.DateTimeField(null=True)
    shown_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "labeler", "repeat"],
                # What was taken over before they saw it may come to them again.
                condition=Q(labeler__isnull=False)
                & ~Q(state="expired", shown_at__isnull=True),
                name="a_prompt_comes_once_to_a_labeler",
            ),
            models.UniqueConstraint(
                fields=["prompt", "slot"],
                condition=Q(source="queue")
                & Q(state__in=["open", "prefetched", "claimed", "completed"]),
                name="a_slot_is_held_once",
            ),
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(state="claimed"),
                name="a_labeler_holds_one_prompt_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["project", "labeler"],
                condition=Q(state="prefetched"),
                name="one_prompt_is_prefetched_for_a_labeler",
            ),
            models.CheckConstraint(
                condition=Q(state="open") ^ Q(labeler__isnull=False),
                name="an_assignment_is_open_or_has_a_labeler",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["prefetched", "claimed"])
                | Q(lease_until__isnull=False),
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
                condition=Q(state="open"),
                name="assignment_open",
            ),
            models.Index(
                fields=["project", "lease_until"],
                condition=Q(state__in=["prefetched", "claimed"]),
                name="assignment_leases",
            ),
            models.Index(
                fields=["labeler", "prompt"], name="assignment_labeler_prompt"
            ),
            models.Index(
                fields=["labeler", "-closed_at"],
                condition=Q(state="completed"),
                name="assignment_done",
            ),
        ]

    def __str__(self) -> str:
        return self.token


class Skip(models.Model):
    """A labeler would not rank a prompt, and said why. Never changed."""

    assignment = models.OneToOneField(Assignment, on_delete=models.PROTECT)
    reason = models.CharField(max_length=20, choices=SkipReason)
    text = models.TextField(blank=True)
    active_seconds = models.FloatField(null=True)
    skipped_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reason__in=SkipReason.values),
                name="skip_reason_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(reason="other") | ~Q(text=""),
                name="another_reason_is_given_in_words",
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class ProblemReport(models.Model):
    """What a labeler reported to the admins, and whether they have seen to it."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    reporter = models.ForeignKey(
        Membership, on_delete=models.PROTECT, related_name="problem_reports"
    )
    assignment = models.ForeignKey(Assignment, null=True, on_delete=models.PROTECT)
    text = models.TextField()
    reported_at = models.DateTimeField(db_default=Now(), editable=False)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answer = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"report {self.pk}"
