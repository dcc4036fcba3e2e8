"""Who changed what: written by triggers, so no way of changing a row goes around it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.models.accounts import User
from annotation.models.projects import Project


class ChangeKind(models.TextChoices):
    """What was changed."""

    PROJECT = "project", "Project and settings"
    MEMBER = "member", "Members"
    INSTRUCTIONS = "instructions", "Instructions"
    TERMS = "terms", "Terms"
    PROMPT = "prompt", "Prompts taken out"
    TAKEDOWN = "takedown", "Prompts taken down"
    IMPORT = "import", "Imports"
    # Noted by triggers of the room that knows rankings.
    WITHDRAWAL = "withdrawal", "Rankings withdrawn"


class ChangeAction(models.TextChoices):
    """What happened to it."""

    MADE = "made"
    CHANGED = "changed"
    ENDED = "ended"


class Change(models.Model):
    """One change of what admins decide. A trigger writes it; nobody changes it.

    It names its subject by key, never by the name of a person nor by a text, so that
    whoever is forgotten is not remembered here. It outlives its subject: no constraint
    ties it to one, and none of its inserts waits for a lock.
    """

    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=20, choices=ChangeKind)
    action = models.CharField(max_length=10, choices=ChangeAction)
    subject_id = models.BigIntegerField()
    # Null: a command, or a rule of the site such as the test that lets people in.
    by = models.ForeignKey(
        User,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    at = models.DateTimeField(db_default=Now(), editable=False)
    # Column → value, of the columns that differ.
    before = models.JSONField()
    after = models.JSONField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=ChangeKind.values)
                & Q(action__in=ChangeAction.values),
                name="change_words_are_known",
            )
        ]
        indexes = [
            models.Index(fields=["project", "-id"], name="change_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.action}"
