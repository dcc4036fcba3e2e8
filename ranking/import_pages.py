"""Pages for admins: files of prompts and rankings, looked at and imported.

A file is sent once: a worker looks at it, the admin reads the report, and imports it
from there.
"""

import csv
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.body_limit import takes_files
from annotation.importing import ImportMode
from annotation.models import Project, Role
from annotation.paging import cursor_of, newest_first
from ranking.csv_cells import neutral
from ranking.file_imports import (
    FileTooLarge,
    ImportRefusedError,
    discard,
    receive,
    start,
)
from ranking.foreign import csv_table
from ranking.models.file_imports import PROMPTS, SHAPES, FileImport

FILES_PER_PAGE: Final = 30
PROBLEMS_PER_PAGE: Final = 100
COLUMNS: Final = ("line", "byte_offset", "level", "code", "message")


# --- Files ------------------------------------------------------------------------


class UploadForm(forms.Form):
    """A file, and what it is."""

    shape = forms.ChoiceField(label="Format", choices=list(SHAPES.items()))
    file = forms.FileField(max_length=10_000)
    columns = forms.CharField(
        label="Columns of a table that are called otherwise",
        required=False,
        max_length=5_000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def clean_columns(self) -> dict[str, str]:
        """Ours by theirs, from a line for each."""
        given = self.cleaned_data["columns"].splitlines()
        try:
            columns = csv_table.columns_of(line for line in given if line.strip())
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if columns and self.cleaned_data.get("shape") != csv_table.NAME:
            raise forms.ValidationError("Only a CSV table has columns.")
        return columns


@takes_files
@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def files(member: Member) -> HttpResponse:
    """The files that were sent, newest first; POST takes another one."""
    if member.request.method != "POST":
        what = member.request.GET.get("what", PROMPTS)
        return _files_page(member, UploadForm(initial={"shape": what}))
    form = UploadForm(member.request.POST, member.request.FILES)
    if not form.is_valid():
        return _files_page(member, form, status=422)
    file: UploadedFile[bytes] = form.cleaned_data["file"]
    try:
        job = receive(
            member.project,
            file.chunks(),
            shape=form.cleaned_data["shape"],
            file_name=file.name or "",
            mode=ImportMode.DRY_RUN,
            user=member.user,
            columns=form.cleaned_data["columns"],
        )
    except FileTooLarge as error:
        form.add_error("file", str(error))
        return _files_page(member, form, status=413)
    except ImportRefusedError as error:
        form.add_error(None, str(error))
        return _files_page(member, form, status=409)
    return redirect("file_import", member.project.slug, job.pk)


def _files_page(member: Member, form: UploadForm, *, status: int = 200) -> HttpResponse:
    before = cursor_of(member.request.GET.get("before", ""))
    page, older = files_of(member.project, before=before)
    context = {
        "member": member,
        "form": form,
        "files": page,
        "older": older,
        "most_bytes": settings.UPLOAD_MAX_BYTES,
    }
    return render(member.request, "ranking/import_files.html", context, status=status)


def files_of(
    project: Project, *, before: int | None = None
) -> tuple[list[FileImport], int | None]:
    """A page of files, newest first, and the cursor of the next one. One query."""
    found = FileImport.objects.filter(project=project).defer("problems")
    found = found.select_related("created_by")
    return newest_first(found, most=FILES_PER_PAGE, before=before)


# --- One file ---------------------------------------------------------------------


@require_safe
@for_members(Role.ADMIN)
def file_import(member: Member, pk: int) -> HttpResponse:
    """How far the file is, its report, and what can be done with it."""
    return render(member.request, "ranking/import_file.html", _context(member, pk))


@require_safe
@for_members(Role.ADMIN)
def file_import_live(member: Member, pk: int) -> HttpResponse:
    """The part of that page that changes while a worker reads the file."""
    return render(member.request, "ranking/_import_live.html", _context(member, pk))


def _context(member: Member, pk: int) -> dict[str, Any]:
    job = _job(member, pk)
    first = (cursor_of(member.request.GET.get("from", "")) or 0) // PROBLEMS_PER_PAGE
    start_at = first * PROBLEMS_PER_PAGE
    problems = job.problems[start_at : start_at + PROBLEMS_PER_PAGE]
    after = start_at + PROBLEMS_PER_PAGE
    return {
        "member": member,
        "job": job,
        "problems": problems,
        "unlisted": job.refused + job.warnings - len(job.problems),
        "after": after if after < len(job.problems) else None,
        "before": start_at - PROBLEMS_PER_PAGE if start_at else None,
    }


def _job(member: Member, pk: int) -> FileImport:
    jobs = FileImport.objects.filter(project=member.project)
    return get_object_or_404(jobs.select_related("created_by"), pk=pk)


@require_POST
@for_members(Role.ADMIN)
def start_file_import(member: Member, pk: int) -> HttpResponseBase:
    """Import what was looked at: all or nothing, or the good lines."""
    partial = member.request.POST.get("mode") == ImportMode.PARTIAL.name
    mode = ImportMode.PARTIAL if partial else ImportMode.WHOLE
    try:
        start(_job(member, pk), mode=mode)
    except ImportRefusedError as error:
        messages.error(member.request, str(error))
    return redirect("file_import", member.project.slug, pk)


@require_POST
@for_members(Role.ADMIN)
def discard_file_import(member: Member, pk: int) -> HttpResponseBase:
    """Delete the file; a run that reads it stops."""
    discard(_job(member, pk))
    messages.success(
        member.request, "The file is deleted. What was imported of it before stays."
    )
    return redirect("file_imports", member.project.slug)


@require_safe
@for_members(Role.ADMIN)
def file_import_csv(member: Member, pk: int) -> HttpResponse:
    """The problems of a report as a table."""
    job = _job(member, pk)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{job.pk}.csv"'
    lines = csv.writer(response)
    lines.writerow(COLUMNS)
    for problem in job.problems:
        lines.writerow([neutral(str(problem[name])) for name in COLUMNS])
    return response


@require_safe
@for_members(Role.ADMIN)
def file_import_json(member: Member, pk: int) -> HttpResponse:
    """The report as it is, as `--json` of the command prints it."""
    job = _job(member, pk)
    response = JsonResponse(job.counts | {"problems": job.problems})
    response["Content-Disposition"] = f'attachment; filename="import-{job.pk}.json"'
    return response
