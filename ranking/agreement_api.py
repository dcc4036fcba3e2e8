"""The agreement report for programs; for labelers their own number, if it is shown."""

from typing import Final

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import load_membership
from annotation.models import Role
from ranking.agreement_pages import report_for
from ranking.agreement_schema import AgreementGiven, OwnAgreementGiven
from ranking.api import LABELERS, LOOK, Unprocessable, user_of
from ranking.filter_words import WORDS
from ranking.filters import InvalidFilter
from ranking.labeler_pages import shown_agreement
from ranking.serializers import RefusalGiven

STAFF: Final = frozenset({Role.ADMIN, Role.RESEARCHER})
ONCE: Final = ("since", "until", "pool")
FILTERS: Final = [
    OpenApiParameter(name, description=meaning, many=name not in ONCE)
    for name, meaning in WORDS.items()
]


@extend_schema(parameters=FILTERS, responses={200: AgreementGiven, 422: RefusalGiven})
@api_view(LOOK)
def agreement(request: Request, slug: str) -> Response:
    """How far people agree. Admins read names, researchers pseudonyms."""
    member = load_membership(user_of(request), slug, STAFF)
    try:
        return Response(report_for(member, request.query_params))
    except InvalidFilter as error:
        raise Unprocessable(str(error)) from error


@extend_schema(responses=OwnAgreementGiven)
@api_view(LOOK)
def own_agreement(request: Request, slug: str) -> Response:
    """How often a labeler and the others agree; 403 where the project does not say."""
    labeler = load_membership(user_of(request), slug, LABELERS)
    shown = shown_agreement(labeler)
    if shown is None:
        raise PermissionDenied("This project does not show labelers their agreement.")
    numbers = ("value", "ci", "comparable", "prompts")
    given = {name: None if shown["why"] else shown[name] for name in numbers}
    return Response(given | {"why": shown["why"]})
