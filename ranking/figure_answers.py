"""Figures as pages load them: SVG in one of four looks, sent once."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEMES: Final = ("light", "dark")
WIDTHS: Final = ("wide", "narrow")


def figure_answer(
    request: HttpRequest,
    draw: "Callable[..., Figure]",
    *,
    said: str,
    theme: str,
    width: str,
) -> HttpResponse:
    """The figure as an image; 304 while the browser has this one.

    `said` names all that it depends on besides its look, the version of its style
    among it. `draw(dark=…, narrow=…)` is asked only where the browser has another one.
    Raises Http404 for a look that there is not.
    """
    # matplotlib takes half a second to load: most web processes never need it.
    from ranking.drawing import svg  # noqa: PLC0415

    if theme not in THEMES or width not in WIDTHS:
        raise Http404("No such figure.")
    shown = f"{theme} {width} {said}".encode()
    etag = quote_etag(hashlib.sha256(shown).hexdigest()[:16])
    response = get_conditional_response(request, etag=etag)
    if response is None:
        figure = draw(dark=theme == "dark", narrow=width == "narrow")
        response = HttpResponse(svg(figure), content_type="image/svg+xml")
        response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response
