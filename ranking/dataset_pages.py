"""Pages for researchers: frozen datasets and their files; and, for admins, the form
that imports rankings."""

import fcntl
from pathlib import Path
from typing import Any, Final

import structlog
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import (
    require_http_methods,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.models import Role
from annotation.prompt_pages import import_page
from ranking.dataset_diff import new_since
from ranking.dataset_facts import (
    asked_again,
    chosen_by,
    labelers_of,
    preview,
    splits_of,
)
from ranking.export.choice import KINDS, ExportRefused
from ranking.export.folder import manifest_of, refuse_if_lost, write
from ranking.filters import InvalidFilter
from ranking.folds import FOLDS
from ranking.freeze_form import FreezeForm
from ranking.freezing import runs_shown
from ranking.imports import import_rankings
from ranking.losses import export_folder, remove_exports
from ranking.models import Dataset
from ranking.withdrawal import withdrawn_from

log = structlog.get_logger(__name__)
RESEARCHERS: Final = (Role.RESEARCHER, Role.ADMIN)
DATASETS_PER_PAGE: Final = 50
OTHERS_SHOWN: Final = 50


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def import_rankings_page(member: Member) -> HttpResponse:
    """The form that imports rankings made elsewhere, and the report of what it did."""
    return import_page(member, import_rankings, what="rankings")


@require_safe
@for_members(*RESEARCHERS)
def datasets(member: Member) -> HttpResponse:
    """All datasets of the project, newest first, and the form to freeze one."""
    return datasets_page(member)


@require_safe
@for_members(*RESEARCHERS)
def dataset(member: Member, name: str) -> HttpResponse:
    """One dataset: what it holds, its files, and how to read them."""
    return _dataset_page(member, dataset_named(member, name))


def _dataset_page(
    member: Member, found: Dataset, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    labelers = labelers_of(found)
    others = Dataset.objects.filter(project=member.project).exclude(pk=found.pk)
    context = {
        "member": member,
        "dataset": found,
        "splits": splits_of(found),
        "labelers": labelers,
        "folds": FOLDS,
        "filters": chosen_by(found),
        "withdrawn": withdrawn_from(found),
        "new_since": _new_since(found),
        "again": asked_again(found),
        "preview": preview(found),
        "others": others.order_by("-pk")[:OTHERS_SHOWN],
        "refusal": refusal,
        "losses": found.losses.order_by("pk"),
        "site": member.request.build_absolute_uri("/").rstrip("/"),
    }
    return render(member.request, "ranking/dataset.html", context, status=status)


def _new_since(found: Dataset) -> int | None:
    """None where its filters name a labeler who is gone."""
    try:
        return new_since(found).count()
    except InvalidFilter:
        return None


@require_safe
@for_members(*RESEARCHERS)
def dataset_file(member: Member, name: str, kind: str) -> HttpResponseBase:
    """The data file of an export, as a download; 304 for one that the reader has.

    410 for a dataset that lost something it held. 503 where the server's disk is full
    or does not answer.
    """
    found = dataset_named(member, name)
    if kind not in KINDS:
        raise Http404("No such file.")
    try:
        return _download(member, found, kind)
    except ExportRefused as error:
        return _dataset_page(member, found, refusal=str(error), status=410)
    except OSError as error:
        log.exception("dataset_file_failed", dataset=found.name, kind=kind)
        reason = error.strerror or "the disk does not answer"
        return _dataset_page(
            member,
            found,
            refusal=f"The server could not make this file: {reason}. The dataset is"
            " kept as it is. Try again later, and tell whoever runs this site.",
            status=503,
        )


def _download(member: Member, found: Dataset, kind: str) -> HttpResponseBase:
    folder = _exported(found, kind)
    [(file, facts)] = manifest_of(folder)["files"].items()
    etag = quote_etag(facts["sha256"])
    response: HttpResponseBase | None = get_conditional_response(
        member.request, etag=etag
    )
    if response is None:
        response = FileResponse(  # closes the file when the last byte is sent
            (folder / file).open("rb"),
            as_attachment=True,
            filename=f"{found.name}-{file}",
            content_type="application/x-ndjson",
        )
        response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _exported(found: Dataset, kind: str) -> Path:
    """The folder of this export, written when it is first asked for.

    Others who ask meanwhile wait for it, so it is written once and never replaced
    while somebody reads it.
    """
    folder = export_folder(found) / kind
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f".{kind}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
            if not folder.exists():
                write(found, kind=kind, out=folder)
    _check_still_whole(found)
    return folder


def _check_still_whole(found: Dataset) -> None:
    """A takedown that was committed before this is seen here, and what was written
    meanwhile goes; one that is committed later removes the files itself."""
    try:
        refuse_if_lost(found)
    except ExportRefused:
        remove_exports([found])
        raise


def dataset_named(member: Member, name: str) -> Dataset:
    """A dataset of the project. Raises Http404."""
    if not name.isprintable():
        raise Http404("No such dataset.")
    return get_object_or_404(
        Dataset.objects.select_related("project", "created_by"),
        project=member.project,
        name=name,
    )


def datasets_page(
    member: Member, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    """The list, and the form with what was typed into it."""
    request = member.request
    rows = Dataset.objects.filter(project=member.project).select_related("created_by")
    runs = list(runs_shown(member.project))
    context: dict[str, Any] = {
        "member": member,
        "page": Paginator(rows.order_by("-pk"), DATASETS_PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "runs": runs,
        "unfinished": any(run.is_unfinished for run in runs),
        "form": FreezeForm.of(member, request.POST),
        "chosen": request.POST,
        "refusal": refusal,
    }
    return render(request, "ranking/datasets.html", context, status=status)
