"""What labelers report to the admins of their project, and what becomes of it."""

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from annotation.models import Assignment, Membership, ProblemReport, Project, User


def report_problem(
    reporter: Membership, *, text: str, about: Assignment | None = None
) -> ProblemReport:
    """Report something; `about` is one of the reporter's own assignments."""
    return ProblemReport.objects.create(
        project_id=reporter.project_id, reporter=reporter, assignment=about, text=text
    )


def reports_in(project: Project) -> QuerySet[ProblemReport]:
    """Open ones first, then the newest, with the people and prompts they name."""
    return (
        ProblemReport.objects.filter(project=project)
        .select_related("reporter", "assignment__prompt", "closed_by")
        .order_by(F("closed_at").desc(nulls_first=True), "-pk")
    )


def reports_by(reporter: Membership) -> QuerySet[ProblemReport]:
    """A labeler's own, the newest first."""
    return ProblemReport.objects.filter(reporter=reporter).order_by("-pk")


def answer_report(
    report: ProblemReport, *, answer: str, close: bool, user: User
) -> None:
    """Write the answer that its labeler reads; close the report, or open it again.

    One statement: of two admins who answer at once, the later answer stands whole.
    """
    closing = {
        "closed_at": Now() if close else None,
        "closed_by": user if close else None,
    }
    ProblemReport.objects.filter(pk=report.pk).update(answer=answer, **closing)
