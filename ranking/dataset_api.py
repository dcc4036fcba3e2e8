"""Datasets for programs: freeze, wait, look, compare, download.

Lists of what goes on (datasets, freezes) are for looking: while people work, a page of
one may be old before the next is read. What a dataset holds never changes, so its pages
are complete, and `without` an older dataset they are exactly what came since.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.jobs import GIVEN_UP
from annotation.models import Membership, Role, User
from annotation.paging import cursor_of, newest_first
from ranking import dataset_schema as bodies
from ranking.agreement_api import FILTERS, STAFF
from ranking.api import LOOK, Unprocessable, read_body, refusal, user_of
from ranking.dataset_diff import diff_of, held_by
from ranking.dataset_facts import folds_of, splits_of
from ranking.datasets import NothingToFreeze
from ranking.download_pages import RETRY_AFTER, export_of
from ranking.export.choice import KINDS, Choice, ExportRefused
from ranking.exporting import cancel, file_or_run, runs_shown
from ranking.file_answers import answer_or_run, choice_of
from ranking.filter_words import WORDS, filters_from_query
from ranking.filters import Filters, InvalidFilter
from ranking.freezing import freeze_or_queue
from ranking.matching import matching
from ranking.models import Dataset, ExportRun, FreezeRun
from ranking.serializers import RefusalGiven

DATASETS_A_PAGE: Final = 50
RANKINGS_A_PAGE: Final = 1_000


@extend_schema(
    methods=["GET"],
    operation_id="projects_datasets_list",
    parameters=[
        OpenApiParameter("before", int, description="`older` of the page before.")
    ],
    responses=bodies.DatasetsGiven,
)
@extend_schema(
    methods=["POST"],
    request=bodies.FreezeBody,
    responses={
        201: bodies.DatasetGiven,
        202: bodies.FreezeGiven,
        422: RefusalGiven,
    },
)
@api_view([*LOOK, "POST"])
def datasets(request: Request, slug: str) -> Response:
    """The datasets, newest first; POST freezes one.

    201 with the dataset where few rankings match; else 202 with a freeze to ask after.
    """
    member = _member(request, slug)
    if request.method == "POST":
        return _freeze(request, member)
    before = cursor_of(request.query_params.get("before", ""))
    rows = Dataset.objects.filter(project=member.project)
    page, older = newest_first(rows, most=DATASETS_A_PAGE, before=before)
    return Response(bodies.DatasetsGiven({"datasets": page, "older": older}).data)


def _freeze(request: Request, member: Membership) -> Response:
    wanted = read_body(bodies.FreezeBody, request).validated_data
    seed = wanted.pop("seed")
    query = QueryDict(mutable=True)
    for name, value in wanted.items():
        query.setlist(name, [str(one) for one in _listed(value)])
    try:
        _refuse_unknown(request.data)
        filters = _filters(member, query)
        made = freeze_or_queue(
            member.project, filters, user=user_of(request), seed=seed
        )
    except (InvalidFilter, NothingToFreeze) as error:
        raise Unprocessable(f"Nothing was frozen: {error}") from error
    if isinstance(made, Dataset):
        given = bodies.DatasetGiven(made).data
        return Response(given, status=HTTPStatus.CREATED)
    return Response(bodies.FreezeGiven(made).data, status=HTTPStatus.ACCEPTED)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@extend_schema(responses=bodies.FreezeGiven)
@api_view(LOOK)
def freeze_run(request: Request, slug: str, pk: int) -> Response:
    """How far a freeze is, and its dataset in the end."""
    return Response(bodies.FreezeGiven(_run(_member(request, slug), pk)).data)


@extend_schema(request=None, responses=bodies.CancelledGiven)
@api_view(["POST"])
def cancel_freeze(request: Request, slug: str, pk: int) -> Response:
    """Stop a freeze; nothing of it is kept."""
    return Response({"changed": _run(_member(request, slug), pk).cancel()})


@extend_schema(
    parameters=FILTERS, responses={200: bodies.MatchingGiven, 422: RefusalGiven}
)
@api_view(LOOK)
def dataset_matching(request: Request, slug: str) -> Response:
    """How much matches the filters now: what a freeze would hold."""
    member = _member(request, slug)
    try:
        _refuse_unknown(request.query_params)
        found = matching(member.project, _filters(member, request.query_params))
    except InvalidFilter as error:
        raise Unprocessable(str(error)) from error
    return Response(bodies.MatchingGiven(found).data)


@extend_schema(responses=bodies.DatasetDetailGiven)
@api_view(LOOK)
def dataset(request: Request, slug: str, name: str) -> Response:
    """One dataset: counts, splits, folds by labeler, where its files are, and which of
    them are written."""
    found = _dataset(_member(request, slug), name)
    files = {
        f"{kind}.{format}": request.build_absolute_uri(
            reverse("api_dataset_file", args=[slug, found.name, kind, format])
        )
        for kind, known in KINDS.items()
        for format in known.formats
    }
    losses = found.losses.order_by("pk").values_list("reason", flat=True)
    given = {
        **bodies.DatasetGiven(found).data,
        "splits": splits_of(found),
        "folds": folds_of(found),
        "losses": list(losses),
        "files": files,
        "exports": bodies.ExportGiven(runs_shown(found), many=True).data,
    }
    return Response(given)


@extend_schema(
    parameters=[OpenApiParameter("from", required=True, description="The other one.")],
    responses={200: bodies.DiffGiven, 422: RefusalGiven},
)
@api_view(LOOK)
def dataset_diff(request: Request, slug: str, name: str) -> Response:
    """What changed from another dataset of the project to this one."""
    member = _member(request, slug)
    after = _dataset(member, name)
    asked = request.query_params.get("from", "")
    if not asked:
        raise Unprocessable("Name the dataset to compare it with: from=ds-….")
    before = _dataset(member, asked)
    return Response(bodies.DiffGiven(diff_of(before, after)).data)


@extend_schema(
    parameters=[
        OpenApiParameter("without", description="An older dataset: what came since."),
        OpenApiParameter("after", int, description="`after` of the page before."),
    ],
    responses=bodies.HeldGiven,
)
@api_view(LOOK)
def dataset_rankings(request: Request, slug: str, name: str) -> Response:
    """The rankings that the dataset holds, and an older one does not: complete."""
    member = _member(request, slug)
    found = _dataset(member, name)
    older = request.query_params.get("without", "")
    rows = held_by(found, without=_dataset(member, older) if older else None)
    after = cursor_of(request.query_params.get("after", ""))
    if after is not None:
        rows = rows.filter(pk__gt=after)
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[: RANKINGS_A_PAGE + 1])
    page = keys[:RANKINGS_A_PAGE]
    more = page[-1] if len(keys) > RANKINGS_A_PAGE else None
    return Response({"rankings": [str(key) for key in page], "after": more})


CHOICE: Final = [
    OpenApiParameter("disagreement", str, description="each, as labelers said it"),
    OpenApiParameter("split", str, description="train, valid1, valid2, or all"),
]


@extend_schema(
    methods=["GET"],
    parameters=CHOICE,
    responses={
        (200, "application/octet-stream"): OpenApiTypes.BINARY,
        202: bodies.ExportGiven,
        (206, "application/octet-stream"): OpenApiTypes.BINARY,
        304: None,
        410: RefusalGiven,
        503: bodies.ExportGiven,
    },
)
@extend_schema(
    methods=["POST"],
    operation_id="projects_datasets_files_write",
    parameters=CHOICE,
    request=None,
    responses={202: bodies.ExportGiven, 204: None, 410: RefusalGiven},
)
@api_view([*LOOK, "POST"])
def dataset_file(
    request: Request, slug: str, name: str, kind: str, extension: str
) -> HttpResponseBase | Response:
    """A file of the dataset, whole or in ranges, with an ETag.

    202 while a worker writes it: ask again after `Retry-After` seconds. 503 where that
    failed or was cancelled, with the reason; POST has it written again (204: it is
    there). 410 where the dataset lost something it held.
    """
    found = _dataset(_member_of_files(request, slug), name)
    choice = choice_of(kind, extension, request.query_params)
    try:
        if request.method == "POST":
            return _write_again(found, choice, user=user_of(request))
        answer = answer_or_run(request._request, found, choice, user=user_of(request))
    except ExportRefused as error:
        return Response(refusal(str(error)), status=HTTPStatus.GONE)
    if isinstance(answer, ExportRun):
        return _waiting(answer, given_up=answer.state in GIVEN_UP)
    return answer


@extend_schema(request=None, responses=bodies.CancelledGiven)
@api_view(["POST"])
def cancel_export(request: Request, slug: str, pk: int) -> Response:
    """Stop the writing of a file; nothing of it is kept."""
    run = export_of(_member_of_files(request, slug).project, pk)
    return Response({"changed": cancel(run, user=user_of(request))})


def _write_again(found: Dataset, choice: Choice, *, user: User) -> Response:
    file = file_or_run(found, choice, user=user, again=True)
    if isinstance(file, ExportRun):
        return _waiting(file)
    return Response(status=HTTPStatus.NO_CONTENT)


def _waiting(run: ExportRun, *, given_up: bool = False) -> Response:
    given = bodies.ExportGiven(run).data
    if given_up:
        return Response(given, status=HTTPStatus.SERVICE_UNAVAILABLE)
    wait = {"Retry-After": str(RETRY_AFTER)}
    return Response(given, status=HTTPStatus.ACCEPTED, headers=wait)


# --- What they have in common -----------------------------------------------------


def _member(request: Request, slug: str) -> Membership:
    return load_membership(user_of(request), slug, STAFF)


def _member_of_files(request: Request, slug: str) -> Membership:
    """Labelers cannot tell that there is a file. Raises Http404."""
    try:
        return _member(request, slug)
    except PermissionDenied as error:
        raise Http404("No such file.") from error


def _dataset(member: Membership, name: str) -> Dataset:
    if not name.isprintable():
        raise Http404("No such dataset.")
    rows = Dataset.objects.select_related("project")
    found = rows.filter(project=member.project, name=name).first()
    if found is None:
        raise Http404("No such dataset.")
    return found


def _run(member: Membership, pk: int) -> FreezeRun:
    rows = FreezeRun.objects.select_related("dataset")
    return get_object_or_404(rows, project=member.project, pk=pk)


def _refuse_unknown(names: Iterable[str]) -> None:
    """A filter that is spelt wrong would let in what it was to leave out.

    Raises InvalidFilter.
    """
    known = (*WORDS, "seed")
    for name in names:
        if name not in known:
            raise InvalidFilter(f"{name[:50]!r} is none of {', '.join(known)}")


def _filters(member: Membership, query: QueryDict) -> Filters:
    return filters_from_query(member.project, query, by_name=member.role == Role.ADMIN)
