"""For programs: send a file to be scored, follow it, read the rewards."""

from http import HTTPStatus
from typing import Any

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.body_limit import takes_files
from annotation.models import Project
from annotation.paging import cursor_of
from ranking import serializers as bodies
from ranking.api import LOOK, Unprocessable, conflict, user_of
from ranking.file_imports import FileTooLarge
from ranking.import_api import FileOfAForm, RawBody, TooLarge, sent_file
from rm_training.models import RewardModel, ScoredFile
from rm_training.scored_files import (
    ScoringRefusedError,
    discard,
    models_of,
    receive,
)
from rm_training.scoring_pages import files_of, rewards_answer
from rm_training.views import TRAINERS


class ScoredGiven(serializers.Serializer[Any]):
    """A file that is scored, and how far it is."""

    url = serializers.SerializerMethodField()
    rewards_url = serializers.SerializerMethodField(
        help_text="Where the rewards are; null while they are not."
    )
    run = serializers.IntegerField(
        source="reward_model.run_id", help_text="The run whose model scores it."
    )
    file_name = serializers.CharField()
    state = serializers.CharField(read_only=True)
    reason = serializers.CharField()
    sent_bytes = serializers.IntegerField()
    read_bytes = serializers.IntegerField(help_text="Of `sent_bytes`.")
    scored = serializers.IntegerField(help_text="Lines that have rewards.")
    responses = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="Lines that are not in the rewards.")

    def get_url(self, job: ScoredFile) -> str:
        """Where to ask again."""
        return reverse("api_scored_file", args=[job.project.slug, job.pk])

    def get_rewards_url(self, job: ScoredFile) -> str | None:
        """The address of the download."""
        if not job.is_here:
            return None
        return reverse("api_scored_rewards", args=[job.project.slug, job.pk])


class ProblemGiven(serializers.Serializer[Any]):
    """A line that was refused."""

    line = serializers.IntegerField()
    message = serializers.CharField()


class OneScoredGiven(ScoredGiven):
    """The same with the first of the lines that were refused."""

    problems = ProblemGiven(many=True)


class ScoredListGiven(serializers.Serializer[Any]):
    """A page of scored files, newest first."""

    files = ScoredGiven(many=True)
    older = serializers.IntegerField(allow_null=True)


@extend_schema(
    methods=["GET"],
    operation_id="projects_scored_list",
    parameters=[
        OpenApiParameter("before", int, description="`older` of the page before.")
    ],
    responses=ScoredListGiven,
)
@extend_schema(
    methods=["POST"],
    operation_id="projects_scored_create",
    parameters=[
        OpenApiParameter(
            "run", int, description="Whose model scores; default: the one in use."
        ),
        OpenApiParameter("name", description="What the file is called."),
    ],
    request={
        "application/octet-stream": OpenApiTypes.BINARY,
        "multipart/form-data": FileOfAForm,
    },
    responses={
        202: OneScoredGiven,
        409: bodies.RefusalGiven,
        413: bodies.RefusalGiven,
        422: bodies.RefusalGiven,
    },
)
@takes_files
@api_view([*LOOK, "POST"])
@parser_classes([MultiPartParser, RawBody])
def scored_files(request: Request, slug: str) -> Response:
    """The files that were scored; POST sends one, JSONL of {"prompt", "responses"}.

    Its body is the file, plain or gzipped, or a form with the file as its field `file`.
    The answer names the address to ask how far it is.
    """
    project = _project(request, slug)
    if request.method != "POST":
        before = cursor_of(request.query_params.get("before", ""))
        files, older = files_of(project, before=before)
        for job in files:
            job.project = project
        return Response(ScoredListGiven({"files": files, "older": older}).data)
    model = _model(request, project)
    pieces, name = sent_file(request)
    name = request.query_params.get("name", name)
    try:
        job = receive(model, pieces, file_name=name, user=user_of(request))
    except FileTooLarge as error:
        raise TooLarge(str(error)) from error
    except ScoringRefusedError as error:
        return conflict(error)
    return Response(OneScoredGiven(job).data, status=HTTPStatus.ACCEPTED)


@extend_schema(responses=OneScoredGiven)
@api_view(LOOK)
def scored_file(request: Request, slug: str, pk: int) -> Response:
    """How far a file is, and which of its lines were refused."""
    return Response(OneScoredGiven(_job(request, slug, pk)).data)


@extend_schema(request=None, responses={204: None})
@api_view(["POST"])
def discard_scored_file(request: Request, slug: str, pk: int) -> Response:
    """Delete the file and its rewards; a job that is not done stops."""
    discard(_job(request, slug, pk))
    return Response(status=HTTPStatus.NO_CONTENT)


@extend_schema(
    responses={
        (200, "application/octet-stream"): OpenApiTypes.BINARY,
        (206, "application/octet-stream"): OpenApiTypes.BINARY,
        304: None,
        404: None,
    }
)
@api_view(LOOK)
def scored_rewards(request: Request, slug: str, pk: int) -> HttpResponseBase:
    """The rewards, whole or in ranges, with an ETag; 404 while there are none."""
    return rewards_answer(request._request, _job(request, slug, pk))


def _project(request: Request, slug: str) -> Project:
    return load_membership(user_of(request), slug, frozenset(TRAINERS)).project


def _job(request: Request, slug: str, pk: int) -> ScoredFile:
    files = ScoredFile.objects.filter(project=_project(request, slug))
    return get_object_or_404(files.select_related("project", "reward_model"), pk=pk)


def _model(request: Request, project: Project) -> RewardModel:
    """The model of the run that is named, or the one in use. Raises Unprocessable."""
    run = request.query_params.get("run", "")
    models = models_of(project)
    models = models.filter(run=int(run[:18])) if run.isdecimal() else models
    found = None if run and not run.isdecimal() else models.first()
    if found is None or not (run or found.in_use):
        raise Unprocessable("run: no run of this project with a model, or none in use.")
    return found
