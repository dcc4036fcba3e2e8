"""What labelers saved or sent that is no ranking."""

from django.db import models
from django.db.models.functions import Now

from annotation.models import Assignment


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
