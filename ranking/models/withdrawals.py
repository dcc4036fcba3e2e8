"""Whose work counts for nothing, and since when."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotation.models import Membership, User


class WithdrawalQuerySet(models.QuerySet["Withdrawal"]):
    """Withdrawals, ended ones included."""

    def in_force(self) -> "WithdrawalQuerySet":
        """Those that nobody has ended."""
        return self.filter(ended_at__isnull=True)


class Withdrawal(models.Model):
    """All that one labeler ranked counts for nothing, until somebody ends this.

    The rankings stay as they are, and so do the datasets that hold them. While it is
    in force a trigger keeps the labeler paused, and nobody deletes it.
    """

    labeler = models.ForeignKey(
        Membership, on_delete=models.PROTECT, related_name="withdrawals"
    )
    reason = models.CharField(max_length=300)
    withdrawn_at = models.DateTimeField(db_default=Now(), editable=False)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = WithdrawalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["labeler"],
                condition=Q(ended_at__isnull=True),
                name="a_labeler_is_withdrawn_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="somebody_ends_a_withdrawal",
            ),
        ]

    def __str__(self) -> str:
        return self.reason
