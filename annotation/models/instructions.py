"""What the people of a project are told, and what they agree to."""

from django.db import models
from django.db.models.functions import Now

from annotation.models.accounts import User
from annotation.models.projects import Membership, Project


class VersionedText(models.Model):
    """A text of a project. A change is a new version; old ones stay as they were."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT)
    version = models.PositiveIntegerField()
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"version {self.version}"


class Instructions(VersionedText):
    """What labelers are told."""

    class Meta:
        verbose_name_plural = "instructions"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "version"], name="instruction_versions_are_numbered"
            )
        ]


class Terms(VersionedText):
    """What labelers agree to before their first prompt."""

    class Meta:
        verbose_name_plural = "terms"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "version"], name="terms_versions_are_numbered"
            )
        ]


class Consent(models.Model):
    """A member agreed to one version of the terms. Never changed."""

    membership = models.ForeignKey(Membership, on_delete=models.PROTECT)
    terms = models.ForeignKey(Terms, on_delete=models.PROTECT)
    given_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["membership", "terms"], name="consent_is_given_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.membership} to {self.terms}"
