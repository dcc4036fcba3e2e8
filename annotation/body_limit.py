"""No request brings more than its address takes.

Django reads a form's files to the disk before any view, and the check of the form's
token among the first, so the length that a request announces is looked at before that.
A body that does not announce its length is not read at all: to Django it is empty.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

View = TypeVar("View", bound=Callable[..., Any])

# Of all addresses but those that take files: several times what a form or call needs.
MOST_BYTES: Final = 16 * 2**20
FORM_BYTES: Final = 100_000  # of a form, besides its file
MARK: Final = "takes_files"


def takes_files(view: View) -> View:
    """Let this view have bodies of UPLOAD_MAX_BYTES. The outermost decorator."""
    setattr(view, MARK, True)
    return view


class BodyLimit:
    """413 for a body that is longer than its address takes; nothing of it was read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Nothing is known of the view yet."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], *_: Any
    ) -> HttpResponse | None:
        """The refusal, or None to go on. Stands before the check of forms' tokens."""
        length = request.headers.get("Content-Length", "")
        most = MOST_BYTES
        if getattr(view, MARK, False):
            most = settings.UPLOAD_MAX_BYTES + FORM_BYTES
        if not length.isdecimal() or int(length[:30]) <= most:
            return None
        said = (
            f"This is larger than {most} bytes, the most that is taken here. Nothing"
            " was kept."
        )
        return HttpResponse(said, status=413, content_type="text/plain; charset=utf-8")
