"""Answers with a file: whole, in part, or that the reader has it."""

from collections.abc import Iterator
from typing import Final, Protocol

from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from annotation.models import User
from ranking.byte_ranges import NoSuchBytes, requested, still_meant
from ranking.downloads import Download
from ranking.export.choice import Choice, ExportRefused
from ranking.exporting import file_or_run
from ranking.models import Dataset, ExportRun

TYPES: Final = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def answer_or_run(
    request: HttpRequest, found: Dataset, choice: Choice, *, user: User | None
) -> HttpResponseBase | ExportRun:
    """The file as `file_answer` sends it, or the job that writes it.

    A file that was removed just between the look and the opening is asked for once
    more. Raises as `file_or_run`.
    """

    def look() -> HttpResponseBase | ExportRun:
        file = file_or_run(found, choice, user=user)
        if isinstance(file, ExportRun):
            return file
        return file_answer(request, found, choice, file)

    try:
        return look()
    except FileNotFoundError:
        return look()


def file_answer(
    request: HttpRequest, found: Dataset, choice: Choice, file: Download
) -> HttpResponseBase:
    """A dataset's file as `resumable` answers. Raises OSError."""
    named = f"{found.name}-{choice.name}"
    return resumable(request, file, named=named, kind=TYPES[choice.format])


class Sendable(Protocol):
    """A file that never changes, to be sent in any of its parts."""

    @property
    def sha256(self) -> str:
        """Of all its bytes."""

    @property
    def size(self) -> int:
        """In bytes."""

    def blocks(self, places: range) -> Iterator[bytes]:
        """These bytes. Raises OSError, at once, where the file cannot be opened."""


def resumable(
    request: HttpRequest, file: Sendable, *, named: str, kind: str
) -> HttpResponseBase:
    """The file as a browser or a program asks for it: 200, 206, 304 or 416.

    Raises OSError.
    """
    etag = quote_etag(file.sha256)
    known: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if known is not None:
        known["Cache-Control"] = "private, no-cache"
        return known
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{named}"',
        "Content-Type": kind,
        # Whatever a browser makes of it, it may load and run nothing.
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    response = _bytes(request, file, etag)
    for header, value in headers.items():
        response[header] = value
    return response


def choice_of(kind: str, format: str, query: QueryDict) -> Choice:
    """What an address asks for. Raises Http404 for what there is not."""
    try:
        return Choice(
            kind=kind,
            format=format,
            disagreement=query.get("disagreement", "each"),
            split=query.get("split", "all"),
        )
    except ExportRefused as error:
        raise Http404(str(error)) from error


def _bytes(request: HttpRequest, file: Sendable, etag: str) -> HttpResponseBase:
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
