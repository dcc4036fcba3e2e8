"""Downloads of a dataset's files, for researchers and admins of its project."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, Final, ParamSpec, cast

import structlog
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.jobs import GIVEN_UP
from annotation.models import Project, Role
from ranking.dataset_pages import dataset_named
from ranking.export.choice import Choice, ExportRefused
from ranking.exporting import cancel, exports_of, file_or_run
from ranking.file_answers import answer_or_run, choice_of
from ranking.models import Dataset, ExportRun

P = ParamSpec("P")
log = structlog.get_logger(__name__)
RETRY_AFTER: Final = 2  # seconds between two looks at a file that is being written


def hidden_from_others(
    view: Callable[Concatenate[HttpRequest, str, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]:
    """For members of another role there is no such address, as for other people."""

    @wraps(view)
    def hidden(
        request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            return view(request, slug, *args, **kwargs)
        except PermissionDenied as error:
            raise Http404("No such file.") from error

    return cast(Callable[Concatenate[HttpRequest, str, P], HttpResponseBase], hidden)


@require_http_methods(["GET", "HEAD", "POST"])
@hidden_from_others
@for_members(Role.RESEARCHER, Role.ADMIN)
def dataset_file(
    member: Member, name: str, kind: str, extension: str
) -> HttpResponseBase:
    """A data file of the dataset, whole or from where a download broke off.

    `?disagreement=…&split=…` choose as the command's options do. 202 with a page that
    waits, while a worker writes it. 410 for a dataset that lost something it held. 503
    where the worker failed or somebody cancelled it (POST has it written again), or
    where the disk or the store does not answer.
    """
    found = dataset_named(member, name)
    request = member.request
    choice = choice_of(kind, extension, request.GET)
    again = request.method == "POST"
    try:
        if again:
            file_or_run(found, choice, user=member.user, again=True)
            return redirect(file_address(found, choice))
        answer = answer_or_run(request, found, choice, user=member.user)
        return _waiting(member, answer) if isinstance(answer, ExportRun) else answer
    except ExportRefused as error:
        return _refused(member, found, str(error), status=410)
    except OSError as error:
        log.exception("dataset_file_failed", dataset=found.name, kind=kind)
        reason = error.strerror or "the disk does not answer"
        told = (
            f"The server could not hand this file out: {reason}. The dataset is kept"
            " as it is. Try again later, and tell whoever runs this site."
        )
        return _refused(member, found, told, status=503)


@require_safe
@hidden_from_others
@for_members(Role.RESEARCHER, Role.ADMIN)
def export_live(member: Member, pk: int) -> HttpResponse:
    """How far the job of a file is, as the part of the waiting page that changes."""
    context = {"member": member, "run": export_of(member.project, pk)}
    return render(member.request, "ranking/_export_live.html", context)


@require_POST
@hidden_from_others
@for_members(Role.RESEARCHER, Role.ADMIN)
def cancel_export(member: Member, pk: int) -> HttpResponse:
    """Stop the writing of a file; nothing of it is kept."""
    run = export_of(member.project, pk)
    if cancel(run, user=member.user):
        told = f"The writing of {run.choice.name} was cancelled: nothing was kept."
        messages.success(member.request, told)
    else:
        messages.warning(member.request, "It had ended before: nothing was changed.")
    return redirect("dataset", member.project.slug, run.dataset.name)


def export_of(project: Project, pk: int) -> ExportRun:
    """The job of a file of this project. Raises Http404."""
    rows = ExportRun.objects.select_related("dataset")
    return get_object_or_404(rows, dataset__project=project, pk=pk)


@require_safe
@hidden_from_others
@for_members(Role.RESEARCHER, Role.ADMIN)
def dataset_exports(member: Member, name: str) -> HttpResponse:
    """The files of a dataset that are written or being written, as the part of its
    page that changes."""
    found = dataset_named(member, name)
    context = {"member": member, "dataset": found, **exports_of(found)}
    return render(member.request, "ranking/_exports.html", context)


@require_safe
@hidden_from_others
@for_members(Role.RESEARCHER, Role.ADMIN)
def choose_dataset_file(member: Member, name: str) -> HttpResponseBase:
    """Leads from the form of a dataset's page to the file that it names; 422 for
    choices that do not go together."""
    found, query = dataset_named(member, name), member.request.GET
    chosen = {
        what: query[what]
        for what in ("format", "disagreement", "split")
        if query.get(what)
    }
    try:
        choice = Choice(kind=query.get("kind", "pairs"), **chosen)
    except ExportRefused as error:
        told = f"{error}. Choose something else on the page of the dataset."
        return _refused(member, found, told, status=422)
    return redirect(file_address(found, choice))


def file_address(found: Dataset, choice: Choice) -> str:
    """Where a page hands the file out."""
    place = [found.project.slug, found.name, choice.kind, choice.format]
    return reverse("dataset_file", args=place) + choice.query


def _waiting(member: Member, run: ExportRun) -> HttpResponse:
    """202 while it is worth asking again, for which a done job needs no time."""
    given_up = run.state in GIVEN_UP
    status = HTTPStatus.SERVICE_UNAVAILABLE if given_up else HTTPStatus.ACCEPTED
    context = {"member": member, "dataset": run.dataset, "run": run}
    response = render(
        member.request, "ranking/download_waiting.html", context, status=status
    )
    response["Cache-Control"] = "no-store"
    if not given_up:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def _refused(
    member: Member, found: Dataset, refusal: str, *, status: int
) -> HttpResponse:
    context = {"member": member, "dataset": found, "refusal": refusal}
    return render(
        member.request, "ranking/download_refused.html", context, status=status
    )
