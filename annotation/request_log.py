"""One line in the log when a request ends, with what it was and whose."""

from collections.abc import Awaitable
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from annotation.throttling import client_address

logger = structlog.get_logger(__name__)


class RequestLog(RequestMiddleware):
    """Logs method and path, the person's id, the address that counts and the browser.

    The query string stays out: a search may carry a prompt's text. Every line that is
    written meanwhile names the request as well.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """The answer; a process that is told to end amid it says what it was at."""
        try:
            return super().__call__(request)
        except BaseException:  # no fault of a page: Django makes answers of these
            logger.exception("request_aborted", request=self.format_request(request))
            raise

    def prepare(self, request: HttpRequest) -> None:
        """What names the request, in place of a line that it has begun."""
        structlog.contextvars.bind_contextvars(
            request_id=str(uuid4()),
            ip=client_address(request),
            user_agent=request.headers.get("User-Agent"),
        )
        self.bind_user_id(request)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """`GET /p/tides/`; `annotation.logs` hides secrets in paths."""
        return f"{request.method} {request.path}"
