"""What somebody sees when something went wrong: a page, or JSON under /api/.

No page repeats the address that was asked for, so there is nothing to reflect.
"""

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from annotation.unavailable import is_outage, unavailable

API = "/api/"


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without the token of this session."""
    return _answer(request, 403, "403_csrf.html", "The CSRF token is missing or wrong.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that makes no sense, such as one for an unknown host.

    Rendered without the request: asking it for anything may fail again.
    """
    if request.path.startswith(API):
        return JsonResponse({"detail": "Bad request."}, status=400)
    return HttpResponse(render_to_string("400.html"), status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The right project, the wrong role."""
    return _answer(request, 403, "403.html", str(exception) or "Not allowed.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address that is nobody's, or somebody else's: no difference is shown."""
    return _answer(request, 404, "404.html", "Not found.")


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours. Rendered without request and database: they may be the fault.

    Django calls it while it handles the error, wherever that came from: a view, a
    commit, or a middleware that asked who is signed in.
    """
    if is_outage(sys.exception()):
        return unavailable(request)
    if request.path.startswith(API):
        return JsonResponse({"detail": "Server error."}, status=500)
    return HttpResponse(render_to_string("500.html"), status=500)


def _answer(
    request: HttpRequest, status: int, template: str, detail: str
) -> HttpResponse:
    if request.path.startswith(API):
        return JsonResponse({"detail": detail}, status=status)
    return render(request, template, {"detail": detail}, status=status)
