"""For programs of admins: who changed what in a project."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.changes import changes_of
from annotation.models import ChangeAction, ChangeKind, Role, User
from annotation.paging import cursor_of

ADMINS = frozenset({Role.ADMIN})


class ChangeGiven(serializers.Serializer[Any]):
    """One change. `before` and `after` hold the columns that differ."""

    id = serializers.IntegerField(source="change.pk")
    at = serializers.DateTimeField(source="change.at")
    by = serializers.CharField()
    kind = serializers.ChoiceField(choices=ChangeKind.choices, source="change.kind")
    action = serializers.ChoiceField(
        choices=ChangeAction.choices, source="change.action"
    )
    subject = serializers.CharField()
    before = serializers.JSONField(source="change.before")
    after = serializers.JSONField(source="change.after")


class ChangesGiven(serializers.Serializer[Any]):
    """A page of the history, newest first."""

    changes = ChangeGiven(many=True)
    older = serializers.IntegerField(allow_null=True)


@extend_schema(
    parameters=[
        OpenApiParameter("kind", enum=ChangeKind.values),
        OpenApiParameter("before", int, description="`older` of the page before."),
    ],
    responses=ChangesGiven,
)
@api_view(["GET", "HEAD"])
def changes(request: Request, slug: str) -> Response:
    """Who changed what, newest first. An unknown kind is all kinds."""
    user = request.user
    assert isinstance(user, User)  # the API's permission class
    project = load_membership(user, slug, ADMINS).project
    asked = request.query_params.get("kind", "")
    lines, older = changes_of(
        project,
        kind=asked if asked in ChangeKind.values else "",
        before=cursor_of(request.query_params.get("before", "")),
    )
    return Response(ChangesGiven({"changes": lines, "older": older}).data)
