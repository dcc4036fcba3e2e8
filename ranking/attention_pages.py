"""Signs of attention, for admins."""

from datetime import timedelta
from typing import Final

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.attention import attention

DAYS: Final = 90


@require_safe
@never_cache
@for_members(Role.ADMIN)
def signals(member: Member) -> HttpResponse:
    """A row for each labeler: their test, gold, repeats, ties, pace. Nine queries."""
    since = timezone.now() - timedelta(days=DAYS)
    context = {
        "member": member,
        "people": attention(member.project, since=since),
        "days": DAYS,
        "threshold": member.project.qualification_threshold,
    }
    return render(member.request, "ranking/signals.html", context)
