"""Pages on which a labeler reports a problem, and admins answer."""

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.models import Assignment, ProblemReport, Role
from annotation.reports import answer_report, report_problem, reports_by, reports_in

REPORTS_PER_PAGE = 50
LONGEST_REPORT = 5_000  # characters


class ReportForm(forms.Form):
    """What is wrong."""

    text = forms.CharField(
        label="What is wrong?",
        max_length=LONGEST_REPORT,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="The admins of the project read it, with your name.",
    )


class AnswerForm(forms.Form):
    """An admin's answer, and whether the matter is closed."""

    answer = forms.CharField(
        label="Answer",
        max_length=LONGEST_REPORT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    close = forms.BooleanField(label="Closed", required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.LABELER)
def new_report(member: Member) -> HttpResponseBase:
    """Report a problem, with `?about=<token>` one of a prompt; one's own reports."""
    about = _about(member)
    if member.request.method != "POST":
        return _report_page(member, ReportForm(), about)
    form = ReportForm(member.request.POST)
    if not form.is_valid():
        return _report_page(member, form, about, status=422)
    report_problem(member.membership, text=form.cleaned_data["text"], about=about)
    messages.success(
        member.request, "Your report is with the admins. Their answer shows up here."
    )
    return redirect("report_problem", member.project.slug)


def _about(member: Member) -> Assignment | None:
    """The labeler's own assignment that the address names; 404 if it is not theirs."""
    token = member.request.GET.get("about", "")
    if not token:
        return None
    mine = Assignment.objects.filter(labeler=member.membership)
    # A NUL is the one character that Postgres takes in no text.
    found = mine.filter(token=token).first() if "\0" not in token else None
    if found is None:
        raise Http404("No such prompt of yours.")
    return found


def _report_page(
    member: Member, form: ReportForm, about: Assignment | None, status: int = 200
) -> HttpResponse:
    """One query of its own."""
    page = Paginator(reports_by(member.membership), REPORTS_PER_PAGE)
    context = {
        "member": member,
        "form": form,
        "about": about,
        "reports": page.get_page(member.request.GET.get("page")),
    }
    return render(
        member.request, "annotation/report_problem.html", context, status=status
    )


@require_safe
@for_members(Role.ADMIN)
def reports(member: Member) -> HttpResponse:
    """What labelers reported: open ones first. Two queries of its own."""
    return _reports_page(member)


@require_POST
@for_members(Role.ADMIN)
def answer(member: Member, pk: int) -> HttpResponseBase:
    """Answer a report, close it or open it again."""
    report = get_object_or_404(ProblemReport, pk=pk, project=member.project)
    form = AnswerForm(member.request.POST, prefix=str(pk))
    if not form.is_valid():
        return _reports_page(member, refused=(pk, form), status=422)
    answer_report(report, **form.cleaned_data, user=member.user)
    messages.success(member.request, "Saved. The labeler sees the answer.")
    return redirect("reports", member.project.slug)


def _reports_page(
    member: Member, *, refused: tuple[int, AnswerForm] | None = None, status: int = 200
) -> HttpResponse:
    pages = Paginator(reports_in(member.project), REPORTS_PER_PAGE)
    page = pages.get_page(member.request.GET.get("page"))
    forms_by_report = dict([refused] if refused else [])
    rows = [
        (report, forms_by_report.get(report.pk) or _answer_form(report))
        for report in page
    ]
    context = {"member": member, "rows": rows, "page": page}
    return render(member.request, "annotation/reports.html", context, status=status)


def _answer_form(report: ProblemReport) -> AnswerForm:
    said = {"answer": report.answer, "close": True}
    return AnswerForm(prefix=str(report.pk), initial=said)
