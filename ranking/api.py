"""The labeler's flow for programs: another front end, and our own page's script.

Addresses that name an assignment answer its labeler only; for anybody else it is not
there. Refusals of the ranking itself carry a `message` for people, those of the
protocol a `detail`.
"""

from http import HTTPStatus
from typing import Any, TypeVar
from uuid import uuid4

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import queue
from annotation.access import load_membership
from annotation.models import Assignment, Membership, Role, User
from annotation.rendered import html_of
from annotation.shown import as_shown, responses_of
from ranking import serializers as bodies
from ranking.asked import seal
from ranking.desk import NOT_THEIRS, PAGE, labeler_of, own_assignment
from ranking.drafts import DraftConflictError, save_draft
from ranking.entry import decide_late
from ranking.feedback import feedback_of
from ranking.history import latest_rankings
from ranking.kept_work import draft_json, draft_of
from ranking.rank_page import texts_of
from ranking.refusals import REFUSED, RETRY_AFTER, Refusal, refusal_of
from ranking.submit import submit
from ranking.word_diff import word_diff

LABELERS = frozenset({Role.LABELER})
LOOK = ["GET", "HEAD"]
Body = TypeVar("Body", bound=serializers.Serializer[Any])


class Unprocessable(APIException):
    """422: JSON that is not what this address takes. Nothing was stored."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, message: str, *, unknown: list[str] | None = None) -> None:
        super().__init__()
        detail: Any = refusal(message, unknown=unknown)
        self.detail = detail


def refusal(message: str, *, unknown: list[str] | None = None) -> dict[str, Any]:
    """The body of every answer that says no. `unknown`: fields that were sent."""
    return {"message": message, "missing": [], "unknown": unknown or []}


def conflict(error: Exception) -> Response:
    """409: as things stand, this cannot be done."""
    return Response(refusal(str(error)), status=HTTPStatus.CONFLICT)


# --- A project's work -------------------------------------------------------------


@extend_schema(request=bodies.ClaimBody, responses=bodies.ClaimGiven)
@api_view(["POST"])
def claim(request: Request, slug: str) -> Response:
    """Hand out a prompt: the one that is held already, else the next."""
    labeler = load_membership(user_of(request), slug, LABELERS)
    ahead = read_body(bodies.ClaimBody, request).validated_data["prefetch"]
    decide_late(labeler)
    try:
        claimed = queue.prefetch(labeler) if ahead else queue.claim(labeler)
    except queue.NothingIsServed as error:
        return Response({"assignment": None, "reason": str(error)})
    if claimed is None:
        return Response({"assignment": None})
    assignment = own_assignment(user_of(request), claimed.token, *PAGE)
    return Response({"assignment": _given(assignment)})


@extend_schema(responses=bodies.RankedGiven(many=True))
@api_view(LOOK)
def history(request: Request, slug: str) -> Response:
    """What the labeler ranked last, the latest first, without texts."""
    labeler = load_membership(user_of(request), slug, LABELERS)
    return Response(bodies.RankedGiven(latest_rankings(labeler), many=True).data)


def _given(assignment: Assignment) -> dict[str, Any]:
    """All that a page needs. One query for the texts, at most two for their HTML."""
    responses = responses_of(assignment, texts=True)
    instructions, draft = assignment.instructions, draft_of(assignment)
    html = html_of(texts_of(assignment, responses))
    return {
        "token": assignment.token,
        "prompt": [
            {
                "role": turn["role"],
                "content": turn["content"],
                "html": html[turn["content"]],
            }
            for turn in assignment.prompt.messages
        ],
        "responses": [
            {"position": letter, "text": shown.text, "html": html[shown.text]}
            for letter, shown in as_shown(assignment, responses).items()
        ],
        "instructions_version": instructions.version if instructions else None,
        "lease_until": assignment.lease_until,
        "draft": draft_json(draft) if draft else None,
        "submission_uuid": uuid4(),
        "rate_first": assignment.project.rate_first,
        "flags": assignment.project.flags,
        "submission_asked": seal(assignment.project, assignment.token),
    }


# --- One assignment ---------------------------------------------------------------


@extend_schema(
    request=bodies.DraftBody,
    responses={
        200: bodies.SavedGiven,
        409: bodies.OtherDraftGiven,
        422: bodies.RefusalGiven,
    },
)
@api_view(["PUT"])
def draft(request: Request, token: str) -> Response:
    """Keep a ranking in the making, over the revision last seen."""
    assignment = own_assignment(user_of(request), token)
    body = read_body(bodies.DraftBody, request)
    try:
        saved = save_draft(
            assignment,
            rev=body.validated_data["rev"],
            content=body.content(),
            replace=body.validated_data["replace"],
        )
    except DraftConflictError as error:
        other = {"rev": error.rev, "draft": error.content}
        return Response(other, status=HTTPStatus.CONFLICT)
    return Response({"rev": saved.rev, "saved_at": saved.saved_at})


@extend_schema(request=None, responses=bodies.HeartbeatGiven)
@api_view(["POST"])
def heartbeat(request: Request, token: str) -> Response:
    """Somebody is looking at the prompt: its lease starts anew."""
    assignment = own_assignment(user_of(request), token)
    if not queue.renew(assignment):
        return Response({"held": False, "lease_until": None, "seconds_left": 0})
    return Response(
        {
            "held": True,
            "lease_until": assignment.lease_until,
            "seconds_left": assignment.project.lease_minutes * 60,
        }
    )


@extend_schema(request=None, responses=bodies.ReleaseGiven)
@api_view(["POST"])
def release(request: Request, token: str) -> Response:
    """Give the prompt back; it may come to the same labeler again."""
    return Response(
        {"released": queue.release(own_assignment(user_of(request), token))}
    )


@extend_schema(
    request=bodies.SkipBody,
    responses={
        200: bodies.SkipGiven,
        409: bodies.RefusalGiven,
        422: bodies.RefusalGiven,
    },
)
@api_view(["POST"])
def skip(request: Request, token: str) -> Response:
    """Give the prompt back for good, with a reason. Again: the stored skip stays."""
    labeler = _labeler(request, token)
    body = read_body(bodies.SkipBody, request)
    try:
        queue.skip(
            membership=labeler,
            token=token,
            reason=body.validated_data["reason"],
            text=body.validated_data.get("text", ""),
            active_seconds=body.active_seconds(),
        )
    except Assignment.DoesNotExist as error:
        raise Http404(NOT_THEIRS) from error
    except queue.RankedAlreadyError as error:
        return conflict(error)
    except queue.SkipRefusedError as error:
        raise Unprocessable(str(error)) from error
    return Response({"skipped": True})


@extend_schema(
    request=bodies.SubmitBody,
    responses={
        201: bodies.SubmitGiven,
        200: bodies.SubmitGiven,
        409: bodies.ConflictGiven,
        422: bodies.RefusalGiven,
    },
)
@api_view(["POST"])
def submit_ranking(request: Request, token: str) -> Response:
    """Store a ranking; 200 for one that is stored already."""
    labeler = _labeler(request, token)
    body = read_body(bodies.SubmitBody, request)
    try:
        done = submit(membership=labeler, token=token, submission=body.submission())
    except Assignment.DoesNotExist as error:
        raise Http404(NOT_THEIRS) from error
    except REFUSED as error:
        return _refused(refusal_of(error))
    feedback = feedback_of(done.ranking)
    answer = {
        "ranking": done.ranking.submission_uuid,
        "status": done.status,
        "replayed": done.replayed,
        "feedback": feedback.as_json() if feedback else None,
    }
    status = HTTPStatus.OK if done.replayed else HTTPStatus.CREATED
    return Response(answer, status=status)


@extend_schema(
    parameters=[
        OpenApiParameter("a", required=True, description="A letter of the page."),
        OpenApiParameter("b", required=True, description="Another one."),
    ],
    responses={200: bodies.CompareGiven, 422: bodies.RefusalGiven},
)
@api_view(LOOK)
def compare(request: Request, token: str) -> Response:
    """Where two responses differ, word by word."""
    assignment = own_assignment(user_of(request), token, "prompt")
    responses = responses_of(assignment, texts=True)
    shown = as_shown(assignment, responses)
    pair = [request.query_params.get(name, "") for name in ("a", "b")]
    unknown = [letter[: bodies.LONGEST_NAME] for letter in pair if letter not in shown]
    if unknown:
        raise Unprocessable("Name two responses of this page.", unknown=unknown)
    diff = word_diff(*(shown[letter].text for letter in pair))
    return Response({"ratio": diff.ratio, "a": diff.a, "b": diff.b})


# --- What they have in common -----------------------------------------------------


def user_of(request: Request) -> User:
    """Who asks. Raises Http404 for nobody that we know."""
    if not isinstance(request.user, User):
        raise Http404(NOT_THEIRS)
    return request.user


def _labeler(request: Request, token: str) -> Membership:
    return labeler_of(own_assignment(user_of(request), token))


def read_body(body: type[Body], request: Request) -> Body:
    """The body that was sent. Raises Unprocessable with the first thing wrong in it."""
    found = body(data=request.data)
    if not found.is_valid():
        raise Unprocessable(f"Not stored: {_first_wrong(found.errors)}")
    return found


def _first_wrong(errors: Any, where: str = "") -> str:
    """`ratings.A: Ensure this value is less than or equal to 7.`"""
    if isinstance(errors, dict):
        name, inside = next(iter(errors.items()))
        at = "" if name == "non_field_errors" else str(name)[: bodies.LONGEST_NAME]
        return _first_wrong(inside, f"{where}.{at}".strip("."))
    if isinstance(errors, list):
        return _first_wrong(errors[0], where)
    return f"{where}: {errors}" if where else str(errors)


def _refused(found: Refusal) -> Response:
    answer: dict[str, Any] = {"message": found.message}
    if found.status == HTTPStatus.CONFLICT:
        answer["stored"] = found.stored
        answer["may_replace"] = found.may_replace
        answer["submission_uuid"] = uuid4()
    else:
        answer |= {"missing": found.missing, "unknown": found.unknown}
    response = Response(answer, status=found.status)
    if found.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER)
    return response
