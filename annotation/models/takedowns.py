"""Texts that had to go."""

from typing import Final

from django.db import models
from django.db.models.functions import Now

from annotation.models.accounts import User
from annotation.models.prompts import Prompt

# What stands where a text was. The triggers of migration 0010 know it too.
TOMBSTONE: Final = "[taken down]"


class Takedown(models.Model):
    """The texts of a prompt and of its responses are gone. Never changed, never ended.

    Ids and ranks stay. The triggers that keep texts as they are let only a prompt with
    such a row lose them, and only to the tombstone.
    """

    prompt = models.OneToOneField(
        Prompt, on_delete=models.PROTECT, related_name="takedown"
    )
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )

    def __str__(self) -> str:
        return self.reason
