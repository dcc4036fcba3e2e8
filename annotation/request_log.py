"""One line in the log when a request starts and one when it ends."""

import structlog
from django.http import HttpRequest
from django_structlog.middlewares import RequestMiddleware

from annotation.throttling import client_address


class RequestLog(RequestMiddleware):
    """Logs method and path, the person's id and the address that counts.

    The query string stays out: a search may carry a prompt's text.
    """

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """`GET /p/tides/`; `annotation.logs` hides secrets in paths."""
        return f"{request.method} {request.path}"

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """The address without what a stranger may claim in X-Forwarded-For."""
        structlog.contextvars.bind_contextvars(ip=client_address(request))
