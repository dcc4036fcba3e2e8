"""Downloads of a dataset's files, for researchers and admins of its project."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, cast
from urllib.parse import urlencode

import structlog
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.byte_ranges import NoSuchBytes, requested, still_meant
from ranking.dataset_pages import dataset_named
from ranking.downloads import Download, download
from ranking.export.choice import Choice, ExportRefused
from ranking.models import Dataset

P = ParamSpec("P")
log = structlog.get_logger(__name__)
TYPES: Final = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


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


@require_safe
@hidden_from_others
@for_members(Role.RESEARCHER, Role.ADMIN)
def dataset_file(
    member: Member, name: str, kind: str, extension: str
) -> HttpResponseBase:
    """A data file of the dataset, whole or from where a download broke off.

    `?disagreement=…&split=…` choose as the command's options do. 410 for a dataset that
    lost something it held. 503 where the disk or the store is full or does not answer.
    """
    found = dataset_named(member, name)
    try:
        return file_answer(member.request, found, kind, extension)
    except ExportRefused as error:
        return _refused(member, found, str(error), status=410)
    except OSError as error:
        log.exception("dataset_file_failed", dataset=found.name, kind=kind)
        reason = error.strerror or "the disk does not answer"
        told = (
            f"The server could not make this file: {reason}. The dataset is kept as it"
            " is. Try again later, and tell whoever runs this site."
        )
        return _refused(member, found, told, status=503)


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
        return _refused(member, found, str(error), status=422)
    file = reverse(
        "dataset_file",
        args=[member.project.slug, found.name, choice.kind, choice.format],
    )
    told = {"disagreement": choice.disagreement, "split": choice.split}
    return redirect(f"{file}?{urlencode(told)}")


def file_answer(
    request: HttpRequest, found: Dataset, kind: str, format: str
) -> HttpResponseBase:
    """The file as a browser or a program asks for it: 200, 206, 304 or 416.

    Raises Http404 for a choice that there is not, ExportRefused for a dataset that is
    not whole any more, OSError.
    """
    choice = _choice(kind, format, request.GET)
    file = download(found, choice)
    etag = quote_etag(file.sha256)
    known: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if known is not None:
        known["Cache-Control"] = "private, no-cache"
        return known
    named = f"{found.name}-{_file_name(choice)}"
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{named}"',
        "Content-Type": TYPES[choice.format],
        # Whatever a browser makes of it, it may load and run nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    response = _bytes(request, file, etag)
    for header, value in headers.items():
        response[header] = value
    return response


def _choice(kind: str, format: str, query: QueryDict) -> Choice:
    try:
        return Choice(
            kind=kind,
            format=format,
            disagreement=query.get("disagreement", "each"),
            split=query.get("split", "all"),
        )
    except ExportRefused as error:
        raise Http404(str(error)) from error


def _bytes(request: HttpRequest, file: Download, etag: str) -> HttpResponseBase:
    """200 with all of them, 206 with those asked for, 416 where there are none such."""
    whole = range(file.size)
    places = None
    if still_meant(request.headers.get("If-Range"), etag):
        try:
            places = requested(request.headers.get("Range", ""), file.size)
        except NoSuchBytes:
            return HttpResponse(
                status=416, headers={"Content-Range": f"bytes */{file.size}"}
            )
    sent = whole if places is None else places
    response = StreamingHttpResponse(
        file.blocks(sent), status=200 if places is None else 206
    )
    response["Content-Length"] = str(len(sent))
    if places is not None:
        last = places.stop - 1
        response["Content-Range"] = f"bytes {places.start}-{last}/{file.size}"
    return response


def _file_name(choice: Choice) -> str:
    """`pairs.jsonl`; `pairs-soft-train.jsonl` where something else than all was asked
    for."""
    words = [choice.kind]
    words += [choice.disagreement] if choice.disagreement != "each" else []
    words += [choice.split] if choice.split != "all" else []
    return f"{'-'.join(words)}.{choice.format}"


def _refused(
    member: Member, found: Dataset, refusal: str, *, status: int
) -> HttpResponse:
    context = {"member": member, "dataset": found, "refusal": refusal}
    return render(
        member.request, "ranking/download_refused.html", context, status=status
    )
