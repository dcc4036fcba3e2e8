"""Prompts with orders, for the PURE parts of exports."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from ranking.export.held import HeldPrompt, Said
from ranking.weak_order import dense_ranks


def said(number: int = 1, labeler: str = "L-1") -> Said:
    return Said(
        ranking_id=number,
        labeler=labeler,
        display_order=None,
        instructions_version=1,
        seconds=2.5,
        submitted_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        status="counted",
        pool="random",
        note="",
        ratings=[],
        flags=[],
    )


def held(
    orders: Sequence[Sequence[int]], *, name: str = "p1", text: str = "Answer"
) -> HeldPrompt:
    """A prompt that labelers L-1, L-2, … ranked so; responses r1, r2, …"""
    return HeldPrompt(
        id=name,
        messages=[{"role": "user", "content": f"Question {name}?"}],
        tags=["tag"],
        split="train",
        response_ids=[f"r{number}" for number, _ in enumerate(orders[0], start=1)],
        texts=[
            f"{text} {number} to {name}." for number, _ in enumerate(orders[0], start=1)
        ],
        models=["a-model" for _ in orders[0]],
        orders=[dense(order) for order in orders],
        said=[said(n, f"L-{n}") for n, _ in enumerate(orders, start=1)],
        labelers=len(orders),
    )


def dense(ranks: Sequence[int]) -> list[int]:
    return list(dense_ranks(dict(enumerate(ranks))).values())


def orders(k: int, *, most: int = 5) -> st.SearchStrategy[list[list[int]]]:
    """One to `most` weak orders of K responses."""
    return st.lists(
        st.lists(st.integers(1, k), min_size=k, max_size=k), min_size=1, max_size=most
    )


prompts = st.lists(st.integers(2, 9).flatmap(orders), min_size=1, max_size=4).map(
    lambda some: [held(each, name=f"p{n}") for n, each in enumerate(some)]
)
