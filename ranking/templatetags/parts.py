"""Parts of the ranking page that hang on a few values, the same on every page."""

from collections.abc import Hashable
from functools import lru_cache

from django import template
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()
MOST_PARTS = 2_048  # 1 or 2 kB each; a project with its flags takes some hundred


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
