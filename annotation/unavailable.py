"""The database is away, or cut a connection: come back soon, nothing is wrong with you.

A fault of the server's that passes by itself is a 503 with Retry-After, never a 500:
the ranking page, and every client that obeys HTTP, then sends the same again under the
same key. Whether a commit that was cut off has held nobody knows at that moment, so no
answer claims either.
"""

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

RETRY_AFTER = 3  # seconds
MESSAGE = (
    "The database is away or busy just now. What was stored before is safe. Try again"
    " in a moment: what is sent twice is stored once."
)


def is_outage(error: BaseException | None) -> bool:
    """Whether an error is the database's absence and not a fault of ours.

    Postgres reports refused and cut connections, its own shutdown, lock timeouts and
    deadlocks as OperationalError; psycopg says InterfaceError of a connection that it
    has found dead.
    """
    return isinstance(error, OperationalError | InterfaceError)


def unavailable(request: HttpRequest) -> HttpResponse:
    """503, as a page or as JSON. Rendered without the database and the session."""
    answer: HttpResponse
    if wants_json(request):
        answer = JsonResponse({"detail": MESSAGE, "message": MESSAGE}, status=503)
    else:
        page = render_to_string("503.html", {"message": MESSAGE})
        answer = HttpResponse(page, status=503)
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer


def wants_json(request: HttpRequest) -> bool:
    """Under /api/, and for scripts of our pages."""
    asked = request.headers.get("Accept", "")
    return request.path.startswith("/api/") or asked == "application/json"
