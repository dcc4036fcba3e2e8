"""Texts as HTML, made once: a table keeps what was rendered, memory the latest of it.

The HTML is a function of the text and of the renderer's version, so a kept copy is
never wrong and never has to be changed; under a new version it is simply not found.
Writing one down changes nothing that anybody could see.
"""

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Collection, Mapping
from threading import Lock

from django.db import connection

from annotation.models import RenderedText
from annotation.rendering import VERSION, is_rich, render

MEMORY = 16 * 2**20  # bytes of HTML that one process keeps
# What one entry takes beside its two strings: its place in the dictionary and in the
# list that keeps the order.
ENTRY = 200
VERSION_DIGITS = 4

STORED = "SELECT key, html FROM annotation_renderedtext WHERE key = ANY(%s)"
KEEP = """
INSERT INTO annotation_renderedtext (key, html)
SELECT * FROM unnest(%s::text[], %s::text[])
ON CONFLICT DO NOTHING
"""


class Latest:
    """The HTML used last, by key, in at most so many bytes. Safe among threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def get(self, keys: Collection[str]) -> dict[str, str]:
        """What is kept of these keys; they become the latest."""
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
            for key in found:
                self._kept.move_to_end(key)
        return found

    def put(self, html: Mapping[str, str]) -> None:
        """Keep these too; the oldest go until all fit. Never more than `most`."""
        with self._lock:
            for key, shown in html.items():
                if key not in self._kept:
                    self._kept[key] = shown
                    self.used += _size(key, shown)
            while self.used > self.most:
                self.used -= _size(*self._kept.popitem(last=False))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self.used = 0


def _size(key: str, html: str) -> int:
    # Not the length: one emoji makes every character of a string take four bytes.
    return sys.getsizeof(key) + sys.getsizeof(html) + ENTRY


latest = Latest(MEMORY)


def html_of(texts: Collection[str]) -> dict[str, str]:
    """Text → safe HTML, for all the texts of a page at once.

    No statement when this process showed them lately; else one SELECT, and one INSERT
    when some were never rendered. Texts beyond the renderer's limit are escaped each
    time: that takes less than reading them back.
    """
    keys = _keys(texts)
    html = latest.get(keys.values())
    html |= _stored([key for key in keys.values() if key not in html])
    html |= _made(keys, html)
    latest.put(html)
    return {text: html[keys[text]] if text in keys else render(text) for text in texts}


def write_down(texts: Collection[str]) -> None:
    """Render what the table does not hold yet, for whoever is shown it later.

    This process' memory stays as it is. One SELECT, and one INSERT if need be.
    """
    keys = _keys(texts)
    _made(keys, _stored(list(keys.values())))


def forget(texts: Collection[str]) -> None:
    """Delete the HTML of these texts. One statement.

    Also of a text that another prompt shares: it is rendered again when it is next
    shown. A process' memory holds HTML by the hash of its text, and nobody asks for it
    without the text.
    """
    keys = [key_of(text) for text in texts]
    RenderedText.objects.filter(key__in=keys).delete()


def key_of(text: str, version: int = VERSION) -> str:
    """64 hex digits: the version first, so that what an older one made can be told."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{version:0{VERSION_DIGITS}x}" + digest[:-VERSION_DIGITS]


def drop_outdated() -> int:
    """Delete what older versions of the renderer made; how many rows that were."""
    oldest = f"{VERSION:0{VERSION_DIGITS}x}"
    return RenderedText.objects.filter(key__lt=oldest).delete()[0]


def _keys(texts: Collection[str]) -> dict[str, str]:
    """Text → key, of the texts that are worth keeping."""
    return {text: key_of(text) for text in set(texts) if is_rich(text)}


def _stored(keys: list[str]) -> dict[str, str]:
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(STORED, [keys])
        return dict(cursor.fetchall())


def _made(keys: Mapping[str, str], html: Mapping[str, str]) -> dict[str, str]:
    """Key → HTML of the texts that have none; written down as well."""
    new = {key: render(text) for text, key in keys.items() if key not in html}
    _keep(new)
    return new


def _keep(html: Mapping[str, str]) -> None:
    """Write down; somebody else may be doing the same.

    Always in the order of the keys: two who insert the same rows then wait for each
    other in one direction only (annotation_renderedtext_pkey).
    """
    if not html:
        return
    keys = sorted(html)
    with connection.cursor() as cursor:
        cursor.execute(KEEP, [keys, [html[key] for key in keys]])
