"""Who learns from which prompt, and which prompts are alike."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from annotation.models import Prompt


class Split(models.TextChoices):
    """Learn on train, choose on valid1, report on valid2."""

    TRAIN = "train"
    VALID1 = "valid1"
    VALID2 = "valid2"


class PromptSplit(models.Model):
    """The split a prompt has in every dataset, fixed when it first enters one."""

    prompt = models.OneToOneField(Prompt, on_delete=models.PROTECT)
    # Prompts of one near-duplicate group share a split.
    group = models.CharField(max_length=64, db_index=True)
    split = models.CharField(max_length=10, choices=Split)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(split__in=Split.values), name="split_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.split


class PromptFingerprint(models.Model):
    """What finds a prompt's near-duplicates: `ranking.near_duplicates`. Never changed.

    Made when the prompt is first asked about by a freeze, and kept, so that later ones
    need not read its text again.
    """

    prompt = models.OneToOneField(
        Prompt, primary_key=True, on_delete=models.PROTECT, related_name="fingerprint"
    )
    text_sha256 = models.CharField(max_length=64)  # splits.group_of
    signature = models.BinaryField()  # 128 numbers of 4 bytes, little-endian
    bands = ArrayField(models.BigIntegerField())

    class Meta:
        indexes = [
            GinIndex(
                fields=["bands"],
                name="near_duplicates_share_a_band",
                # Entries that wait to be sorted in would be read by every search.
                fastupdate=False,
            )
        ]

    def __str__(self) -> str:
        return f"fingerprint of {self.prompt_id}"
