"""Python's search for cycles of objects, where it would find none. PURE."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Python looks for cycles after so many new objects; by itself after 700.
NEW_OBJECTS: Final = 50_000


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Look for cycles less often, and only among what is made in here.

    For work that makes and drops millions of objects, and hardly any cycle. What is
    there already, all of Django, will still be there afterwards: to look through it
    time and again takes a third of such work.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
