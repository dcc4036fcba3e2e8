"""Pages for researchers: frozen datasets and their files."""

import fcntl
from pathlib import Path
from typing import Any, Final

import structlog
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import (
    require_POST,
    require_safe,
)

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.datasets import NothingToFreeze, freeze
from ranking.export import (
    KINDS,
    ExportRefused,
    manifest_of,
    refuse_if_lost,
    write,
)
from ranking.filters import INCLUDABLE, POOLS, InvalidFilter, filters_from_query
from ranking.losses import export_folder, remove_exports
from ranking.models import Dataset, PromptSplit, Split
from ranking.withdrawal import withdrawn_from

log = structlog.get_logger(__name__)
RESEARCHERS: Final = (Role.RESEARCHER, Role.ADMIN)
DATASETS_PER_PAGE: Final = 50


@require_safe
@for_members(*RESEARCHERS)
def datasets(member: Member) -> HttpResponse:
    """All datasets of the project, newest first, and the form to freeze one."""
    return _datasets_page(member)


@require_POST
@for_members(*RESEARCHERS)
def freeze_dataset(member: Member) -> HttpResponse:
    """Freeze what counts and matches, and go to the dataset."""
    try:
        filters = filters_from_query(
            member.project,
            member.request.POST,
            by_name=member.role == Role.ADMIN,
        )
        frozen = freeze(member.project, filters, user=member.user)
    except (InvalidFilter, NothingToFreeze) as error:
        return _datasets_page(member, refusal=str(error), status=422)
    messages.success(member.request, f"{frozen.name} is frozen: it never changes.")
    return redirect("dataset", member.project.slug, frozen.name)


@require_safe
@for_members(*RESEARCHERS)
def dataset(member: Member, name: str) -> HttpResponse:
    """One dataset: what it holds, its files, and how to read them."""
    return _dataset_page(member, _dataset(member, name))


def _dataset_page(
    member: Member, found: Dataset, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    held = PromptSplit.objects.filter(
        prompt__in=found.rankings.values("assignment__prompt")
    ).values_list("split", flat=True)
    splits = dict.fromkeys(Split.values, 0)
    for split in held:
        splits[split] += 1
    filters = {
        name.replace("_", " "): ", ".join(map(str, value))
        if isinstance(value, list)
        else value
        for name, value in found.filters.items()
    }
    context = {
        "member": member,
        "dataset": found,
        "splits": splits,
        "filters": filters,
        "withdrawn": withdrawn_from(found),
        "refusal": refusal,
        "losses": found.losses.order_by("pk"),
    }
    return render(member.request, "ranking/dataset.html", context, status=status)


@require_safe
@for_members(*RESEARCHERS)
def dataset_file(member: Member, name: str, kind: str) -> HttpResponseBase:
    """The data file of an export, as a download; 304 for one that the reader has.

    410 for a dataset that lost something it held. 503 where the server's disk is full
    or does not answer.
    """
    found = _dataset(member, name)
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


def _dataset(member: Member, name: str) -> Dataset:
    if not name.isprintable():
        raise Http404("No such dataset.")
    return get_object_or_404(
        Dataset.objects.select_related("project"),
        project=member.project,
        name=name,
    )


def _datasets_page(
    member: Member, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    rows = Dataset.objects.filter(project=member.project).order_by("-pk")
    context: dict[str, Any] = {
        "member": member,
        "page": Paginator(rows, DATASETS_PER_PAGE).get_page(
            member.request.GET.get("page")
        ),
        "pools": POOLS,
        "includable": INCLUDABLE,
        "chosen": member.request.POST,
        "included": member.request.POST.getlist("include"),
        "refusal": refusal,
    }
    return render(member.request, "ranking/datasets.html", context, status=status)
