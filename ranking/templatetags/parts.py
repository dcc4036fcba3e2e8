"""Parts of the ranking page that hang on a few values, the same on every page."""

from collections.abc import Hashable, Mapping
from functools import lru_cache
from secrets import token_hex

from django import template
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

register = template.Library()
# 1 to 5 kB each, of which a project with its flags takes some hundred; and a few of 25.
MOST_PARTS = 2_048
# Of a text's place in a frame. Nobody can know it, so no value can hold it; and it
# passes for a part of an address, and through escaping, as it is.
EDGE = token_hex(16)


@register.simple_tag
def part(name: str, **values: Hashable) -> SafeString:
    """Include a template that sees these values only, and render it once for them.

    A page for nine responses has some 700 small things in it, most of which follow from
    a letter and a number. Its template must not hold what differs from page to page
    besides: no token, no request. Raises TypeError for values that cannot be a key.
    """
    render = _rendered.__wrapped__ if settings.DEBUG else _rendered
    return render(name, tuple(values.items()))


@lru_cache(MOST_PARTS)
def _rendered(name: str, values: tuple[tuple[str, Hashable], ...]) -> SafeString:
    return render_to_string(name, dict(values))


@register.simple_tag
def frame(name: str, texts: Mapping[str, str], **values: Hashable) -> SafeString:
    """The same for a part around texts, which differ from page to page.

    Its template writes them as `{{ name }}`, also within an address, and must not ask
    anything of them. They are escaped here, unless they are HTML already, as a template
    does it.
    """
    render = _framed.__wrapped__ if settings.DEBUG else _framed
    pieces = list(render(name, tuple(texts), tuple(values.items())))
    pieces[1::2] = [conditional_escape(texts[place]) for place in pieces[1::2]]
    return SafeString("".join(pieces))


@lru_cache(MOST_PARTS)
def _framed(
    name: str, texts: tuple[str, ...], values: tuple[tuple[str, Hashable], ...]
) -> tuple[str, ...]:
    """What stands around the texts; every second piece is the name of a text."""
    places = {text: f"{EDGE}{text}{EDGE}" for text in texts}
    return tuple(render_to_string(name, dict(values) | places).split(EDGE))
