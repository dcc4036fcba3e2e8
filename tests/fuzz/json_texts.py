"""JSON as people and programs get it wrong."""

import json
from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(max_size=20)  # NUL and lone surrogates are among them
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()  # NaN and infinities as well
    | TEXTS
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**30, 1e308, "\0", "\ud800", "​"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=8,
)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is wanted, and now and then anything else."""
    return st.integers(0, 9).flatmap(lambda n: ANYTHING if n == 7 else strategy)


@st.composite
def documents(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """The bytes of a value; now and then some of them are replaced."""
    value = draw(values)
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    raw = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 7:
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, len(raw)))
        raw = raw[:start] + draw(st.binary(max_size=6)) + raw[end:]
    return raw
