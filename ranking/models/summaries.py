"""What the dashboards sum."""

from django.db import models

from annotation.models import Project, Prompt


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
