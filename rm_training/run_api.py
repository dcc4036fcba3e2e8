"""Training runs and reward models for programs: start, follow, cancel, put to use.

Lists are for looking: while people work, a page may be old before the next is read.
"""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final, TypeVar

from django.db.models import Model, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.health import broker_state
from annotation.models import Membership
from annotation.paging import cursor_of, newest_first
from ranking.agreement_api import STAFF
from ranking.api import LOOK, Unprocessable, read_body, user_of
from ranking.models import Dataset
from ranking.serializers import RefusalGiven
from rm_training import continuing
from rm_training import run_schema as bodies
from rm_training.config import ConfigError, TrainingConfig
from rm_training.continuing import way_on
from rm_training.models import RewardModel, TrainingRun
from rm_training.run_log import log_of
from rm_training.run_page import live_run
from rm_training.runs import RunRefusedError, cancel, put_to_use, request_run

ROWS_A_PAGE: Final = 50
PAGED: Final = [
    OpenApiParameter("before", int, description="`older` of the page before.")
]
Row = TypeVar("Row", bound=Model)


@extend_schema(
    methods=["GET"],
    operation_id="projects_runs_list",
    parameters=PAGED,
    responses=bodies.RunsGiven,
)
@extend_schema(
    methods=["POST"],
    request=bodies.RunBody,
    responses={202: bodies.RunQueuedGiven, 422: RefusalGiven},
)
@api_view([*LOOK, "POST"])
def runs(request: Request, slug: str) -> Response:
    """The runs, newest first; POST queues one: 202, whether the broker is up or not.

    The same request while such a run is unfinished gives that run.
    """
    member = _member(request, slug)
    if request.method == "POST":
        return _start(request, member)
    rows = TrainingRun.objects.filter(project=member.project)
    page, older = _page(request, rows.select_related("dataset", "reward_model"))
    return Response(bodies.RunsGiven({"runs": page, "older": older}).data)


def _start(request: Request, member: Membership) -> Response:
    wanted = read_body(bodies.RunBody, request).validated_data
    try:
        run = request_run(
            member.project,
            user=user_of(request),
            base_model=wanted["base_model"],
            config=TrainingConfig.from_dict(wanted["config"]),
            dataset=_dataset(member, wanted.get("dataset")),
        )
    except (RunRefusedError, ConfigError) as error:
        raise Unprocessable(f"Nothing was queued: {error}") from error
    run.refresh_from_db()
    given = {**bodies.RunGiven(run).data, "broker": broker_state()}
    return Response(given, status=HTTPStatus.ACCEPTED)


@extend_schema(responses=bodies.RunDetailGiven)
@api_view(LOOK)
def run(request: Request, slug: str, pk: int) -> Response:
    """How one run stands, what it measured, and its log."""
    found = _run(_member(request, slug), pk)
    live, on = live_run(found), way_on(found)
    lines = bodies.LogLineGiven(log_of(found), many=True).data
    return Response(
        {
            **bodies.RunGiven(found).data,
            "latest": live.latest,
            "valid1": [asdict(row) for row in live.heldout],
            "log": lines,
            "continues_from": on.step if on else None,
        }
    )


@extend_schema(request=None, responses=bodies.CancelledRunGiven)
@api_view(["POST"])
def cancel_run(request: Request, slug: str, pk: int) -> Response:
    """Stop a run wherever it stands; nothing of it is published."""
    found = _run(_member(request, slug), pk)
    return Response({"changed": cancel(found, user=user_of(request))})


@extend_schema(
    request=None, responses={200: bodies.ContinuedRunGiven, 422: RefusalGiven}
)
@api_view(["POST"])
def continue_run(request: Request, slug: str, pk: int) -> Response:
    """Queue a run that failed or was cancelled again: it goes on from its newest
    checkpoint, with the same data and settings."""
    found = _run(_member(request, slug), pk)
    try:
        changed = continuing.continue_run(found, user=user_of(request))
    except RunRefusedError as error:
        raise Unprocessable(f"Nothing was queued: {error}") from error
    return Response({"changed": changed})


@extend_schema(parameters=PAGED, responses=bodies.ModelsGiven)
@api_view(LOOK)
def models(request: Request, slug: str) -> Response:
    """The published reward models, newest first."""
    rows = RewardModel.objects.filter(project=_member(request, slug).project)
    page, older = _page(request, rows.select_related("run__dataset"))
    return Response(bodies.ModelsGiven({"models": page, "older": older}).data)


@extend_schema(request=None, responses=bodies.ModelGiven)
@api_view(["POST"])
def use_model(request: Request, slug: str, pk: int) -> Response:
    """Make a published model the one in use."""
    rows = RewardModel.objects.select_related("run__dataset")
    model = get_object_or_404(rows, project=_member(request, slug).project, pk=pk)
    put_to_use(model, user=user_of(request))
    model.refresh_from_db(fields=["in_use"])
    return Response(bodies.ModelGiven(model).data)


# --- What they have in common -----------------------------------------------------


def _member(request: Request, slug: str) -> Membership:
    return load_membership(user_of(request), slug, STAFF)


def _run(member: Membership, pk: int) -> TrainingRun:
    rows = TrainingRun.objects.select_related("dataset", "reward_model")
    return get_object_or_404(rows, project=member.project, pk=pk)


def _dataset(member: Membership, name: str | None) -> Dataset | None:
    """The one that is named; None: freeze now."""
    if name is None:
        return None
    found = Dataset.objects.filter(project=member.project, name=name).first()
    if found is None:
        raise Unprocessable(f"This project has no dataset {name!r}.")
    return found


def _page(request: Request, rows: QuerySet[Row]) -> tuple[list[Any], int | None]:
    """Rows of one page, newest first, and where the next one begins."""
    before = cursor_of(request.query_params.get("before", ""))
    return newest_first(rows, most=ROWS_A_PAGE, before=before)
