"""What can go wrong between a notebook and the site. PURE."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import httpx


class ClientError(Exception):
    """What was asked for did not happen; the message says why."""


class NotSignedInError(ClientError):
    """The token is missing, wrong or was revoked."""


class NotAllowedError(ClientError):
    """Datasets are for the researchers and admins of a project."""


class NotThereError(ClientError):
    """No such project, dataset or file, or not one of yours."""


class RefusedError(ClientError):
    """The site understood, and refused: a filter, or nothing matches."""


class NoLongerThereError(ClientError):
    """The dataset lost a text or a person; freeze a new one."""


class FreezeFailedError(ClientError):
    """The freeze ended without a dataset."""


class RunFailedError(ClientError):
    """A training run ended without a model."""


class NotWrittenError(ClientError):
    """A file is not there: its writing failed, was cancelled, or takes too long."""


class UnavailableError(ClientError):
    """The site did not answer, or said that it cannot now: try again later."""


REFUSALS: Final[Mapping[int, type[ClientError]]] = {
    HTTPStatus.UNAUTHORIZED: NotSignedInError,
    HTTPStatus.FORBIDDEN: NotAllowedError,
    HTTPStatus.NOT_FOUND: NotThereError,
    HTTPStatus.GONE: NoLongerThereError,
    HTTPStatus.UNPROCESSABLE_ENTITY: RefusedError,
    HTTPStatus.TOO_MANY_REQUESTS: UnavailableError,
}


def refuse(answer: httpx.Response) -> None:
    """Raise ClientError, by what went wrong, for an answer that is a refusal."""
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return
    kind = REFUSALS.get(answer.status_code, ClientError)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = UnavailableError
    raise kind(f"{answer.request.url.path}: {answer.status_code} {_said(answer)}")


def _said(answer: httpx.Response) -> str:
    """The message or detail of a refusal, else the name of its status."""
    try:
        body = json.loads(answer.read())
    except ValueError:
        return answer.reason_phrase
    words = body if isinstance(body, dict) else {}
    return str(words.get("message") or words.get("detail") or answer.reason_phrase)
