"""Prompts, the responses to them, and the jobs that have responses written."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Now

from annotation.jobs import Job
from annotation.models.accounts import User
from annotation.models.projects import Project

MAX_TEXT_BYTES = 2_000_000  # UTF-8, per prompt and per response
LOWEST_PRIORITY, HIGHEST_PRIORITY = -50, 50


class Purpose(models.TextChoices):
    """Why a prompt is ranked; only work counts in agreement and datasets."""

    WORK = "work"
    TRAINING = "training"
    QUALIFICATION = "qualification"
    GOLD = "gold"


class PromptImport(models.Model):
    """One import that added prompts: what the file was, and whether it was undone."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    file_name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )
    imported = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    undone_at = models.DateTimeField(null=True)
    # What became of its prompts: gone without a trace, or taken out of the queue.
    removed = models.PositiveIntegerField(null=True)
    taken_out = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(undone_at__isnull=False)
                | Q(removed__isnull=True, taken_out__isnull=True),
                name="what_was_undone_is_counted_then",
            )
        ]

    def __str__(self) -> str:
        return self.file_name


class PromptQuerySet(models.QuerySet["Prompt"]):
    """Prompts of a project."""

    def awaiting_responses(self) -> "PromptQuerySet":
        """Prompts that have a text but no response, and whose sampling did not fail."""
        responses = Response.objects.filter(prompt=models.OuterRef("pk"))
        return self.filter(~models.Exists(responses), failure="", takedown__isnull=True)


class Prompt(models.Model):
    """What the SFT model was asked: messages, the last one the user's."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    external_id = models.CharField(max_length=200)
    # Null: made by a copy of a project, or before imports were kept.
    came_with = models.ForeignKey(PromptImport, null=True, on_delete=models.PROTECT)
    messages = models.JSONField()
    tags = ArrayField(models.CharField(max_length=100), default=list)
    purpose = models.CharField(max_length=20, choices=Purpose, default=Purpose.WORK)
    gold = models.JSONField(null=True)
    metadata = models.JSONField(default=dict)
    # What the line of the imported file said, to tell "unchanged" from "changed".
    line_sha256 = models.CharField(max_length=64)
    overlap = models.PositiveSmallIntegerField(default=1)
    # Higher comes first; prompts of one priority come in the order of their import.
    priority = models.SmallIntegerField(default=0)
    failure = models.CharField(
        max_length=300, blank=True, help_text="Why no responses could be sampled."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # When an admin overruled its rejection: votes of before no longer count.
    restored_at = models.DateTimeField(null=True, editable=False)

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
            models.CheckConstraint(
                condition=Q(
                    priority__gte=LOWEST_PRIORITY, priority__lte=HIGHEST_PRIORITY
                ),
                name="priority_is_in_range",
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "purpose", "id"],
                condition=~Q(purpose=Purpose.WORK),
                name="prompt_checks",
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


class PromptRejection(models.Model):
    """A prompt was taken out: of the queue, and of datasets frozen from now on.

    What was ranked before stays, and so does the prompt.
    """

    prompt = models.OneToOneField(
        Prompt, on_delete=models.PROTECT, related_name="rejection"
    )
    reason = models.CharField(max_length=300)
    rejected_at = models.DateTimeField(db_default=Now(), editable=False)
    # Null: enough labelers called it bad.
    rejected_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)

    def __str__(self) -> str:
        return f"{self.prompt}: {self.reason}"


class RenderedText(models.Model):
    """The HTML of a text, made once by one version of the renderer."""

    # The renderer's version and the text's SHA-256 (annotation.rendered).
    key = models.CharField(max_length=64, primary_key=True)
    html = models.TextField()

    def __str__(self) -> str:
        return self.key


class Response(models.Model):
    """One answer to a prompt, with where it came from. Never changed once made."""

    prompt = models.ForeignKey(
        Prompt, on_delete=models.PROTECT, related_name="responses"
    )
    external_id = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    # Counted once: a report looks at the lengths of all responses of a project.
    characters = models.GeneratedField(
        expression=Length("text"), output_field=models.IntegerField(), db_persist=True
    )
    model = models.CharField(max_length=500, null=True)  # noqa: DJ001  null: unknown
    params = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "external_id"],
                # All that a report needs of a response, without reading its text.
                include=["id", "characters"],
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
