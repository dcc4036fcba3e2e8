"""The count of operations, and the layout that it chooses."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rm_training.costs import Trunk, causal_pairs, layer_weights
from rm_training.layouts import (
    MODES,
    Layout,
    Lengths,
    Mode,
    Positions,
    Row,
    grouped,
    laid_out,
    lay_out,
    padding,
)

WEIGHTS = layer_weights(width=256, keys=256, hidden=256, inner=688, gated=True)
SMALL = Trunk(layers=4, weights=WEIGHTS, width=256, pass_tokens=0)
lengths = st.lists(
    st.builds(
        Lengths,
        st.integers(1, 90),
        st.lists(st.integers(1, 90), min_size=1, max_size=6).map(tuple),
    ),
    min_size=1,
    max_size=5,
)


def equal(prompt: int, response: int, k: int) -> list[Lengths]:
    return [Lengths(prompt, (response,) * k)]


def cost(mode: Mode, batch: list[Lengths], trunk: Trunk = SMALL) -> int:
    return laid_out(mode, range(len(batch)), batch, trunk).flops(batch, trunk)


def test_a_layer_has_two_square_matrices_two_of_the_keys_and_two_or_three_more() -> (
    None
):
    assert WEIGHTS == 2 * 256**2 + 2 * 256 * 256 + 3 * 256 * 688
    ungated = layer_weights(width=8, keys=4, hidden=6, inner=10, gated=False)
    assert ungated == 6 * 8 + 8 * 6 + 2 * 6 * 4 + 2 * 6 * 10


def test_operations_are_two_a_weight_and_token_and_four_widths_a_pair_three_times() -> (
    None
):
    trunk = Trunk(layers=2, weights=10, width=4, pass_tokens=7)
    assert trunk.flops(tokens=5, pairs=0, passes=0) == 3 * 2 * 2 * 10 * 5
    assert trunk.flops(tokens=0, pairs=3, passes=0) == 3 * 2 * 4 * 4 * 3
    assert trunk.flops(tokens=0, pairs=0, passes=2) == 3 * 2 * 2 * 10 * 2 * 7


@pytest.mark.parametrize(
    ("prompt", "response", "k", "packed", "shared"),
    [
        (128, 128, 4, 1.22, 1.56),
        (128, 128, 9, 1.07, 1.75),
        (512, 64, 4, 2.38, 2.90),
        (512, 64, 9, 3.32, 4.47),
        (64, 256, 4, 0.76, 1.16),
        (64, 256, 9, 0.53, 1.20),
    ],
)
def test_the_count_predicts_what_was_measured(
    prompt: int, response: int, k: int, packed: float, shared: float
) -> None:
    """A loop's operations by those of packing, and by those of sharing the prompt.

    The second is a bound where attention skips what it need not see; the mask of the
    cached layout skips nothing, which costs it a few hundredths.
    """
    batch = equal(prompt, response, k)
    loop = cost("loop", batch)
    assert loop / cost("packed", batch) == pytest.approx(packed, abs=0.01)
    assert shared - 0.13 < loop / cost("cached", batch) < shared + 0.01


def test_a_layout_counts_each_row_and_its_padding() -> None:
    batch = [Lengths(10, (3, 4)), Lengths(9, (8,))]
    wide = Trunk(layers=1, weights=1, width=1, pass_tokens=100)
    loop = laid_out("loop", [0, 1], batch, wide)
    assert loop.groups == ((Row(1, 0), Row(0, 1), Row(0, 0)),)  # 17, 14 and 13 long
    assert loop.positions(batch) == Positions(tokens=44, padding=7)
    cached = laid_out("cached", [0, 1], batch, wide)
    assert cached.groups == ((Row(1, 0), Row(0, 1), Row(0, 0)),)  # 8, 4 and 3 long
    assert cached.positions(batch) == Positions(tokens=19 + 15, padding=1 + 9)
    packed = laid_out("packed", [0, 1], batch, wide)
    assert packed.groups == ((Row(0, 0), Row(1, 0)),)  # both 17 long
    assert packed.positions(batch) == Positions(tokens=34, padding=0)


def test_a_layout_counts_the_pairs_that_its_kernels_see() -> None:
    batch = [Lengths(10, (3, 4))]
    only_pairs = Trunk(layers=1, weights=0, width=1, pass_tokens=100)
    per_pair = 3 * 4
    assert cost("loop", batch, only_pairs) == per_pair * 2 * causal_pairs(14)
    assert cost("packed", batch, only_pairs) == per_pair * 17 * 17
    assert cost("cached", batch, only_pairs) == per_pair * (
        causal_pairs(10) + 2 * 4 * (10 + 4)
    )


@given(batch=lengths, pass_tokens=st.integers(0, 60))
@settings(max_examples=50)
def test_every_response_stands_in_exactly_one_row(
    batch: list[Lengths], pass_tokens: int
) -> None:
    trunk = Trunk(layers=1, weights=WEIGHTS, width=256, pass_tokens=pass_tokens)
    found: Counter[Row] = Counter()
    for layout in lay_out(batch, trunk, MODES):
        rows = [row for group in layout.groups for row in group]
        if layout.mode == "packed":
            rows = [
                Row(row.prompt, number)
                for row in rows
                for number in range(len(batch[row.prompt].responses))
            ]
        found.update(rows)
    every = {
        Row(p, r) for p, one in enumerate(batch) for r in range(len(one.responses))
    }
    assert set(found) == every
    assert set(found.values()) == {1}


@given(batch=lengths, pass_tokens=st.integers(0, 60))
@settings(max_examples=50)
def test_no_other_layout_of_the_same_prompts_costs_less(
    batch: list[Lengths], pass_tokens: int
) -> None:
    trunk = Trunk(layers=1, weights=WEIGHTS, width=256, pass_tokens=pass_tokens)
    for layout in lay_out(batch, trunk, MODES):
        others = [laid_out(mode, layout.prompts, batch, trunk) for mode in MODES]
        assert layout in others
        assert layout.flops(batch, trunk) == min(
            one.flops(batch, trunk) for one in others
        )


@given(
    numbers=st.lists(st.integers(1, 99), min_size=1),
    pass_tokens=st.integers(0, 60),
)
def test_groups_pad_less_than_a_pass_costs(
    numbers: list[int], pass_tokens: int
) -> None:
    groups = grouped(numbers, lambda n: n, pass_tokens)
    assert sorted(n for group in groups for n in group) == sorted(numbers)
    assert all(padding(group) <= pass_tokens for group in groups)
    for longer, shorter in pairwise(groups):
        assert min(longer) >= max(shorter)
        assert padding([*longer, shorter[0]]) > pass_tokens


def modes(layouts: list[Layout]) -> list[Mode]:
    return [one.mode for one in layouts]


def test_the_shape_chooses() -> None:
    trunk = Trunk(layers=4, weights=WEIGHTS, width=256)
    assert modes(lay_out(equal(128, 128, 4), trunk, MODES)) == ["cached"]
    assert modes(lay_out(equal(16, 8, 4), trunk, MODES)) == ["packed"]  # one pass less
    assert modes(lay_out(equal(100, 50, 1), trunk, MODES)) == ["loop"]
    without_cache: tuple[Mode, ...] = ("loop", "packed")
    assert modes(lay_out(equal(512, 64, 4), trunk, without_cache)) == ["packed"]
    assert modes(lay_out(equal(64, 256, 4), trunk, without_cache)) == ["loop"]


def test_a_prompt_without_tokens_is_looped() -> None:
    trunk = Trunk(layers=4, weights=WEIGHTS, width=256)
    found = lay_out([Lengths(0, (5, 5)), *equal(128, 128, 4)], trunk, MODES)
    assert {one.prompts: one.mode for one in found} == {(0,): "loop", (1,): "cached"}


def test_prompts_share_passes_only_where_their_lengths_are_similar() -> None:
    trunk = Trunk(layers=4, weights=WEIGHTS, width=256)
    batch = [Lengths(n, (64, 64)) for n in (400, 128, 390, 128)]
    found = lay_out(batch, trunk, MODES)
    assert [one.prompts for one in found] == [(0, 2), (1, 3)]
    only: tuple[Mode, ...] = ("loop",)
    everything = lay_out(batch, trunk, only)
    assert [one.prompts for one in everything] == [(0, 1, 2, 3)]
