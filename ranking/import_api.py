"""For programs of admins: send a file, follow its import, read the report."""

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import IO, Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.body_limit import takes_files
from annotation.importing import ImportMode
from ranking import serializers as bodies
from ranking.api import LOOK, Unprocessable, conflict, user_of
from ranking.file_imports import (
    FileTooLarge,
    ImportRefusedError,
    receive,
    start,
)
from ranking.foreign import csv_table
from ranking.lifecycle_api import ADMINS, ImportsGiven, import_list
from ranking.models.file_imports import SHAPES, FileImport

PIECE: Final = 2**20


class FileGiven(serializers.Serializer[Any]):
    """A file that was sent, how far its job is, and the report once it is done."""

    url = serializers.CharField()
    shape = serializers.CharField(help_text="prompts, rankings, or another tool's.")
    mode = serializers.CharField(help_text="DRY_RUN, WHOLE or PARTIAL.")
    file_name = serializers.CharField()
    state = serializers.CharField(read_only=True)
    reason = serializers.CharField()
    size = serializers.IntegerField()
    done = serializers.IntegerField(help_text="Bytes read, of `size`.")
    report = serializers.DictField(allow_null=True)


class TooLarge(APIException):
    """413: more than this site takes."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class RawBody(BaseParser):
    """The body is the file, of whatever kind: nothing of it is read here. For somebody
    with a session, the check of its token asks for the fields of a form before."""

    media_type = "*/*"

    def parse(self, stream: IO[Any], *_: Any, **__: Any) -> Any:
        """The body, to be read in pieces."""
        return stream


class FileOfAForm(serializers.Serializer[Any]):
    """What a form sends; of the other fields of a form none is read."""

    file = serializers.FileField()


WHAT: Final = OpenApiParameter(
    "what", required=True, enum=list(SHAPES), description="What the file is."
)


@extend_schema(
    methods=["GET"],
    operation_id="projects_imports_list",
    parameters=[
        OpenApiParameter("before", int, description="`older` of the page before.")
    ],
    responses=ImportsGiven,
)
@extend_schema(
    methods=["POST"],
    operation_id="projects_imports_create",
    parameters=[
        WHAT,
        OpenApiParameter("name", description="What the file is called."),
        OpenApiParameter(
            "column",
            many=True,
            description="Of a table: what it calls a column, `prompt=Question`.",
        ),
        OpenApiParameter("dry_run", bool, description="Check it, write nothing."),
        OpenApiParameter("partial", bool, description="Import the good lines."),
    ],
    request={
        "application/octet-stream": OpenApiTypes.BINARY,
        "multipart/form-data": FileOfAForm,
    },
    responses={
        202: FileGiven,
        409: bodies.RefusalGiven,
        413: bodies.RefusalGiven,
        422: bodies.RefusalGiven,
    },
)
@takes_files
@api_view([*LOOK, "POST"])
@parser_classes([MultiPartParser, RawBody])
def imports(request: Request, slug: str) -> Response:
    """The imports that added prompts, newest first; POST sends a file to be imported.

    Its body is the file, plain or gzipped, or a form with the file as its field `file`.
    The answer names the address to ask how far it is.
    """
    if request.method != "POST":
        return import_list(request, slug)
    member = load_membership(user_of(request), slug, ADMINS)
    shape = request.query_params.get("what", "")
    if shape not in SHAPES:
        raise Unprocessable(f"what: one of {', '.join(SHAPES)}.")
    columns = _columns(request, shape)
    pieces, name = sent_file(request)
    try:
        job = receive(
            member.project,
            pieces,
            shape=shape,
            file_name=request.query_params.get("name", name),
            mode=_mode(request),
            user=user_of(request),
            columns=columns,
        )
    except FileTooLarge as error:
        raise TooLarge(str(error)) from error
    except ImportRefusedError as error:
        return conflict(error)
    return Response(_given(slug, job), status=HTTPStatus.ACCEPTED)


@extend_schema(methods=["GET"], responses=FileGiven)
@extend_schema(
    methods=["POST"],
    parameters=[OpenApiParameter("partial", bool, description="The good lines only.")],
    request=None,
    responses={202: FileGiven, 409: bodies.RefusalGiven},
)
@api_view([*LOOK, "POST"])
def import_file(request: Request, slug: str, pk: int) -> Response:
    """How far a file is; POST imports one of which a dry run was made."""
    project = load_membership(user_of(request), slug, ADMINS).project
    job = get_object_or_404(FileImport, project=project, pk=pk)
    if request.method != "POST":
        return Response(_given(slug, job))
    try:
        start(job, mode=_mode(request))
    except ImportRefusedError as error:
        return conflict(error)
    job.refresh_from_db()
    return Response(_given(slug, job), status=HTTPStatus.ACCEPTED)


def _mode(request: Request) -> ImportMode:
    """A dry run wins, as in the forms."""
    if _is_on(request, "dry_run"):
        return ImportMode.DRY_RUN
    return ImportMode.PARTIAL if _is_on(request, "partial") else ImportMode.WHOLE


def _is_on(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true", "on", "yes")


def _columns(request: Request, shape: str) -> dict[str, str]:
    try:
        columns = csv_table.columns_of(request.query_params.getlist("column"))
    except ValueError as error:
        raise Unprocessable(f"column: {error}.") from error
    if columns and shape != csv_table.NAME:
        raise Unprocessable("column: only a table (what=csv) has columns.")
    return columns


def sent_file(request: Request) -> tuple[Iterator[bytes], str]:
    """The file in pieces, and its name where a form tells it. Raises Unprocessable."""
    if request.content_type.startswith(MultiPartParser.media_type):
        file: UploadedFile[bytes] | None = request.FILES.get("file")
        if file is None:
            raise Unprocessable("The form has no file in a field 'file'.")
        return iter(file.chunks()), file.name or ""
    if request.stream is None:
        raise Unprocessable("The body is empty, or does not announce its length.")
    return iter(partial(request.stream.read, PIECE), b""), ""


def _given(slug: str, job: FileImport) -> dict[str, Any]:
    finished = job.state == "done"
    report = job.counts | {"problems": job.problems} if finished else None
    return {
        "url": reverse("api_import_file", args=[slug, job.pk]),
        **{
            name: getattr(job, name) for name in ("shape", "mode", "file_name", "state")
        },
        **{name: getattr(job, name) for name in ("reason", "size", "done")},
        "report": report,
    }
