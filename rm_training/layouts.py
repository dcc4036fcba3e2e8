"""How the responses of several prompts are laid out in forward passes. PURE.

Three layouts give the same rewards:

loop    a row for every response, its prompt before it
cached  a row for every prompt; then a row for every response, which sees the keys and
        values of its prompt and is all that is encoded of it
packed  a row for every prompt with all its responses behind it; a mask keeps the
        responses from seeing each other

Which is cheapest follows from the lengths alone (`Trunk.flops`), so that equal lengths
are always encoded alike, in a resumed run too.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from rm_training.costs import Trunk, causal_pairs

Mode = Literal["loop", "cached", "packed"]
T = TypeVar("T")
MODES: Final[tuple[Mode, ...]] = ("loop", "cached", "packed")


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of each of its responses."""

    prompt: int
    responses: tuple[int, ...]

    @property
    def packed(self) -> int:
        """Tokens of the prompt and all responses, each once."""
        return self.prompt + sum(self.responses)


@dataclass(frozen=True, order=True)
class Row:
    """A response, by its prompt's place in the batch and its own among the prompt's."""

    prompt: int
    response: int


@dataclass(frozen=True, kw_only=True)
class Positions:
    """What went through the trunk."""

    tokens: int
    padding: int

    def __add__(self, other: "Positions") -> "Positions":
        return Positions(
            tokens=self.tokens + other.tokens, padding=self.padding + other.padding
        )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Some of the prompts of a batch, and how they are encoded."""

    mode: Mode
    prompts: tuple[int, ...]
    """Places in the batch. Where cached, they are encoded together in a first pass."""
    groups: tuple[tuple[Row, ...], ...]
    """Rows of a pass each. Where packed, a row stands for its prompt (response 0)."""

    def positions(self, batch: Sequence[Lengths]) -> Positions:
        """Tokens and padding of all passes."""
        passes = [
            [row_length(self.mode, row, batch) for row in group]
            for group in self.groups
        ]
        if self.mode == "cached":
            passes.append([batch[place].prompt for place in self.prompts])
        return Positions(
            tokens=sum(map(sum, passes)), padding=sum(map(padding, passes))
        )

    def flops(self, batch: Sequence[Lengths], trunk: Trunk) -> int:
        """Operations of all passes, padding among them."""
        pairs, found = 0, self.positions(batch)
        longest = max(batch[place].prompt for place in self.prompts)
        for group in self.groups:
            width = max(row_length(self.mode, row, batch) for row in group)
            if self.mode == "loop":
                pairs += len(group) * causal_pairs(width)
            elif self.mode == "cached":
                pairs += len(group) * width * (longest + width)
            else:
                pairs += len(group) * width * width
        if self.mode == "cached":
            pairs += len(self.prompts) * causal_pairs(longest)
        return trunk.flops(
            tokens=found.tokens + found.padding,
            pairs=pairs,
            passes=len(self.groups) + (self.mode == "cached"),
        )


def lay_out(
    batch: Sequence[Lengths], trunk: Trunk, modes: Collection[Mode]
) -> list[Layout]:
    """The cheapest layouts of a batch; every response stands in exactly one.

    Prompts of about the same length share their passes. `modes` are those that the
    model allows; loop must be among them. A prompt without tokens is always looped.
    """
    places = range(len(batch))
    if set(modes) == {"loop"}:
        return [laid_out("loop", places, batch, trunk)]
    layouts = []
    for prompts in grouped(places, lambda p: batch[p].prompt, trunk.pass_tokens):
        shareable = all(batch[place].prompt for place in prompts)
        candidates = [
            laid_out(mode, prompts, batch, trunk)
            for mode in MODES
            if mode == "loop" or (mode in modes and shareable)
        ]
        layouts.append(min(candidates, key=lambda one: one.flops(batch, trunk)))
    return layouts


def laid_out(
    mode: Mode, prompts: Sequence[int], batch: Sequence[Lengths], trunk: Trunk
) -> Layout:
    """These prompts of the batch in one layout, whatever it costs."""
    rows = [
        Row(place, number)
        for place in prompts
        for number in range(1 if mode == "packed" else len(batch[place].responses))
    ]
    groups = grouped(rows, lambda row: row_length(mode, row, batch), trunk.pass_tokens)
    return Layout(mode=mode, prompts=tuple(prompts), groups=tuple(groups))


def row_length(mode: Mode, row: Row, batch: Sequence[Lengths]) -> int:
    """Tokens that are encoded in this row."""
    one = batch[row.prompt]
    if mode == "packed":
        return one.packed
    own = one.responses[row.response]
    return own if mode == "cached" else one.prompt + own


def grouped(
    items: Iterable[T], length: Callable[[T], int], pass_tokens: int
) -> list[tuple[T, ...]]:
    """Items of similar length together, the longest first.

    A group grows while all its padding stays within what a further pass would cost;
    where lengths are spread evenly, no other split costs less.

    >>> grouped([9, 1, 8, 9, 2], lambda n: n, 3)
    [(9, 9, 8), (2, 1)]
    """
    groups: list[list[T]] = []
    spare = longest = 0
    for item in sorted(items, key=length, reverse=True):
        if not groups or longest - length(item) > spare:
            groups.append([])
            spare, longest = pass_tokens, length(item)
        groups[-1].append(item)
        spare -= longest - length(item)
    return [tuple(group) for group in groups]


def padding(lengths: Collection[int]) -> int:
    """Positions that are added to bring all to the longest.

    >>> padding([5, 3, 5])
    2
    """
    return max(lengths) * len(lengths) - sum(lengths)
