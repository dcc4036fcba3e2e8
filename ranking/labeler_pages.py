"""A labeler's home: what waits, what they did, how long it took, how it compares."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.asking import NothingIsServed, TermsAwaitConsent, asking, check_served
from annotation.direct import is_checked_first
from annotation.instructions import current_instructions
from annotation.models import (
    AssignmentSource,
    Membership,
    Qualification,
    Role,
    Skip,
)
from annotation.queue import UNDECIDED, awaits_decision, has_work_for
from annotation.reports import reports_by
from ranking.dashboards import own_agreement
from ranking.entry import decide_late
from ranking.history import latest_rankings
from ranking.hours import Period, total, worked_days
from ranking.models import Ranking, RankingStatus

LATEST_SHOWN = 10
REPORTS_SHOWN = 3
# With fewer prompts the number would give away what single other people said.
FEWEST_PROMPTS = 10
# An interval wider than this says next to nothing.
WIDEST_INTERVAL = 0.3


@require_safe
@for_members(Role.LABELER)
def home(member: Member) -> HttpResponse:
    """Where a labeler starts and comes back to.

    A test may be complete without a last answer: a prompt of it is taken out, the
    line is moved, an admin leaves the decision to it. So it is decided here as well.
    """
    labeler = member.membership
    decide_late(labeler)
    context = {
        "member": member,
        **what_waits(labeler),
        "instructions": current_instructions(member.project),
        "done": done_by(labeler),
        "latest": latest_rankings(labeler)[:LATEST_SHOWN],
        **_hours(labeler),
        "agreement": shown_agreement(labeler),
        "reports": reports_by(labeler)[:REPORTS_SHOWN],
    }
    return render(member.request, "ranking/labeler_home.html", context)


def what_waits(labeler: Membership) -> dict[str, str]:
    """`waits`: `terms`, `nothing` (with `why`, in words), `done`, `checks` or `work`.

    `checks` are training and test prompts, which come before the work.
    """
    try:
        check_served(asking(labeler))
    except TermsAwaitConsent:
        return {"waits": "terms"}
    except NothingIsServed as error:
        return {"waits": "nothing", "why": str(error)}
    if not has_work_for(labeler):
        if awaits_decision(labeler):
            return {"waits": "nothing", "why": UNDECIDED}
        return {"waits": "done"}
    pending = labeler.qualification == Qualification.PENDING
    return {"waits": "checks" if pending and is_checked_first(labeler) else "work"}


@dataclass(frozen=True, kw_only=True)
class Done:
    """What one labeler did in a project: prompts, corrected or not, and skips."""

    ranked: int
    late: int  # of the ranked ones
    surplus: int  # of the ranked ones
    skipped: int


def done_by(labeler: Membership) -> Done:
    """Everything they ever did here, checks included. Two queries."""
    rankings = Ranking.objects.current().filter(assignment__labeler=labeler)
    counts = rankings.exclude(assignment__source=AssignmentSource.IMPORTED).aggregate(
        ranked=Count("pk"),
        late=Count("pk", filter=Q(status=RankingStatus.LATE)),
        surplus=Count("pk", filter=Q(status=RankingStatus.SURPLUS)),
    )
    skipped = Skip.objects.filter(assignment__labeler=labeler).count()
    return Done(**counts, skipped=skipped)


def _hours(labeler: Membership) -> dict[str, Any]:
    """Active time of this day and this month (UTC). Two queries."""
    today = datetime.now(UTC).date()
    month = Period(today.replace(day=1), today)
    days = worked_days(labeler.project, month, labeler=labeler)
    return {
        "today": total(row for row in days if row.day == today),
        "this_month": total(days),
    }


def shown_agreement(labeler: Membership) -> dict[str, Any] | None:
    """Their agreement with the others, or in words that there is too little of it.

    None where the project does not show it. `why` is there instead of a number when
    it is undefined, rests on fewer than ten prompts or has an interval wider than 30
    points.
    """
    if not labeler.project.labelers_see_agreement:
        return None
    found = own_agreement(labeler)
    if found["prompts"] < FEWEST_PROMPTS:
        compared = f"{found['prompts']} of your prompts can be compared so far"
        return {"why": f"{compared}; it takes {FEWEST_PROMPTS}."}
    low, high = found["ci"] or (0.0, 1.0)
    if high - low > WIDEST_INTERVAL:
        return {"why": "The prompts compared so far say too different things."}
    return found | {"low": low, "high": high}
