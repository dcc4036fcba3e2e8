"""For programs of admins: archive and copy a project, undo an import, take a prompt
down, forget a labeler. What the pages do, by the same functions.

Prompts go by the id that they were imported with. Nothing asks back: naming what is to
go is the confirmation. What was done before is no fault: then `changed` is false.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.changes import acting
from annotation.lifecycle import (
    Copied,
    SlugTakenError,
    archive_project,
    clone_project,
    reopen_project,
)
from annotation.models import Membership, Project, Prompt, PromptImport, Role
from annotation.paging import cursor_of
from annotation.undo_import import UndoRefusedError, imports_of, plan, undo
from ranking import serializers as bodies
from ranking.api import LOOK, Unprocessable, conflict, read_body, user_of
from ranking.filter_words import labelers_called
from ranking.filters import InvalidFilter
from ranking.takedown import Removed, forget, take_down

ADMINS: Final = frozenset({Role.ADMIN})
LONGEST_REASON: Final = 300


class ArchivedGiven(serializers.Serializer[Any]):
    """How the project is now, and whether this call made it so."""

    archived = serializers.BooleanField()
    changed = serializers.BooleanField()


class CloneBody(serializers.Serializer[Any]):
    """What the copy is called, and what it gets besides settings and texts."""

    title = serializers.CharField(max_length=200)
    slug = serializers.SlugField(max_length=60)
    prompts = serializers.BooleanField(default=False)
    people = serializers.BooleanField(default=False)


class CloneGiven(serializers.Serializer[Any]):
    """The name in addresses of the copy."""

    slug = serializers.CharField()


class ImportGiven(serializers.Serializer[Any]):
    """An import that added prompts."""

    id = serializers.IntegerField(source="pk")
    file_name = serializers.CharField()
    created_at = serializers.DateTimeField(read_only=True)
    imported = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    undone_at = serializers.DateTimeField(allow_null=True)


class ImportsGiven(serializers.Serializer[Any]):
    """A page of the imports, newest first."""

    imports = ImportGiven(many=True)
    older = serializers.IntegerField(allow_null=True)


class UndoingGiven(serializers.Serializer[Any]):
    """What becomes, or became, of an import's prompts; null where it was undone before:
    the list of imports says when."""

    removed = serializers.IntegerField(allow_null=True)
    taken_out = serializers.IntegerField(allow_null=True)
    out_already = serializers.IntegerField(allow_null=True)
    changed = serializers.BooleanField()


class TakeDownBody(serializers.Serializer[Any]):
    """Which prompt, and why: that stays on record, so it must not repeat what goes."""

    prompt = serializers.CharField(trim_whitespace=False)
    reason = serializers.CharField(max_length=LONGEST_REASON)


class ForgetBody(serializers.Serializer[Any]):
    """Whom: the pseudonym of datasets, or the name if only one labeler has it."""

    who = serializers.CharField(trim_whitespace=False)


class HoldingGiven(serializers.Serializer[Any]):
    """A dataset that is no longer reproducible, and how many rankings it is about."""

    name = serializers.CharField(source="dataset.name")
    rankings = serializers.IntegerField()


class RemovedGiven(serializers.Serializer[Any]):
    """What was touched. The models that learned from it are on the site's page."""

    changed = serializers.BooleanField(source="is_new")
    datasets = HoldingGiven(many=True)


# --- The project ------------------------------------------------------------------


@extend_schema(request=None, responses=ArchivedGiven)
@api_view(["POST"])
def archive(request: Request, slug: str) -> Response:
    """Hand out nothing more."""
    with _admin_of(request, slug) as project:
        return Response({"archived": True, "changed": archive_project(project)})


@extend_schema(request=None, responses=ArchivedGiven)
@api_view(["POST"])
def reopen(request: Request, slug: str) -> Response:
    """Hand out work again, where it stopped."""
    with _admin_of(request, slug) as project:
        return Response({"archived": False, "changed": reopen_project(project)})


@extend_schema(
    request=CloneBody,
    responses={201: CloneGiven, 409: bodies.RefusalGiven, 422: bodies.RefusalGiven},
)
@api_view(["POST"])
def clone(request: Request, slug: str) -> Response:
    """Make a project like this one. Only site admins make projects."""
    user = user_of(request)
    with _admin_of(request, slug) as project:
        if not user.is_site_admin:
            raise PermissionDenied("Only site admins make projects.")
        wanted = read_body(CloneBody, request).validated_data
        copied = Copied(prompts=wanted["prompts"], people=wanted["people"])
        names = {name: wanted[name] for name in ("slug", "title")}
        try:
            made = clone_project(project, user=user, copied=copied, **names)
        except SlugTakenError as error:
            return conflict(error)
    return Response({"slug": made.slug}, status=HTTPStatus.CREATED)


# --- Imports ----------------------------------------------------------------------


def import_list(request: Request, slug: str) -> Response:
    """The imports that added prompts, newest first."""
    project = load_membership(user_of(request), slug, ADMINS).project
    before = cursor_of(request.query_params.get("before", ""))
    page, older = imports_of(project, before=before)
    return Response(ImportsGiven({"imports": page, "older": older}).data)


@extend_schema(methods=["GET"], responses=UndoingGiven)
@extend_schema(
    methods=["POST"],
    request=None,
    responses={200: UndoingGiven, 409: bodies.RefusalGiven},
)
@api_view([*LOOK, "POST"])
def undo_import(request: Request, slug: str, pk: int) -> Response:
    """What undoing the import would do now; POST does it."""
    with _admin_of(request, slug) as project:
        found = get_object_or_404(PromptImport, project=project, pk=pk)
        if request.method != "POST":
            foreseen = None if found.undone_at else plan(found)
            return Response(_undoing(foreseen, changed=False))
        try:
            done = undo(found, user=user_of(request))
        except UndoRefusedError as error:
            return conflict(error)
    return Response(_undoing(done, changed=done is not None))


def _undoing(counts: Any, *, changed: bool) -> dict[str, Any]:
    numbers = dict.fromkeys(("removed", "taken_out", "out_already"))
    return {**numbers, **(asdict(counts) if counts else {}), "changed": changed}


# --- What must go -----------------------------------------------------------------


@extend_schema(
    request=TakeDownBody, responses={200: RemovedGiven, 422: bodies.RefusalGiven}
)
@api_view(["POST"])
def take_prompt_down(request: Request, slug: str) -> Response:
    """Replace the texts of a prompt and of its responses for good."""
    with _admin_of(request, slug) as project:
        wanted = read_body(TakeDownBody, request).validated_data
        prompt = get_object_or_404(
            Prompt, project=project, external_id=wanted["prompt"]
        )
        done = take_down(prompt, reason=wanted["reason"], user=user_of(request))
    return _removed(done)


@extend_schema(
    request=ForgetBody, responses={200: RemovedGiven, 422: bodies.RefusalGiven}
)
@api_view(["POST"])
def forget_labeler(request: Request, slug: str) -> Response:
    """Forget who a labeler is and what they wrote, for good."""
    with _admin_of(request, slug) as project:
        who = read_body(ForgetBody, request).validated_data["who"]
        done = forget(_labeler_called(project, who))
    return _removed(done)


def _labeler_called(project: Project, who: str) -> Membership:
    """Raises Http404 where nobody is, Unprocessable where several are."""
    try:
        known = labelers_called(project, [who], by_name=True)
    except InvalidFilter as error:
        raise Http404("No such labeler.") from error
    named = Membership.objects.filter(pk__in=known, role=Role.LABELER)
    found = list(named.select_related("user", "project"))
    if not found:
        raise Http404("No such labeler.")
    if len(found) > 1:
        raise Unprocessable(
            "Nothing was changed: several labelers are called that. Give the pseudonym"
            f" of one: {', '.join(sorted(project.pseudonym(one.pk) for one in found))}."
        )
    return found[0]


def _removed(done: Removed) -> Response:
    return Response(RemovedGiven(done).data)


# --- What they have in common -----------------------------------------------------


@contextmanager
def _admin_of(request: Request, slug: str) -> Iterator[Project]:
    """The project of an admin, under whose name the history notes what changes.

    Errors: as of `load_membership`.
    """
    user = user_of(request)
    project = load_membership(user, slug, ADMINS).project
    if request.method in LOOK:
        yield project
        return
    with acting(user):
        yield project
