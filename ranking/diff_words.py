"""What differs between two datasets, in numbers and in words. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Change(NamedTuple):
    """How many came, and how many went."""

    added: int
    removed: int


class LabelerChange(NamedTuple):
    """How many rankings of one labeler two datasets hold."""

    labeler: str  # pseudonym
    before: int
    after: int


class FilterChange(NamedTuple):
    """A filter that differs; None: not set."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class DatasetDiff:
    """From one dataset to another.

    `corrected`: rankings that went because a correction of theirs came; they are among
    both the added and the removed ones.
    """

    rankings: Change
    corrected: int
    prompts: Change
    strict_pairs: int  # more, or fewer where it is negative
    labelers: tuple[LabelerChange, ...]  # those whose number changed, by pseudonym
    splits: Mapping[str, tuple[int, int]]  # prompts of each split, before and after
    filters: tuple[FilterChange, ...]

    @property
    def labelers_changed(self) -> Change:
        """Labelers who were in none of the first dataset's rankings, or are in none of
        the second's."""
        return Change(
            sum(not one.before for one in self.labelers),
            sum(not one.after for one in self.labelers),
        )

    @property
    def in_words(self) -> str:
        """One line: `+1,204 rankings, +400 prompts, −1 labeler`.

        What stayed the same is not named; where nothing changed, `the same rankings`.
        """
        counts = (
            ("ranking", self.rankings),
            ("prompt", self.prompts),
            ("labeler", self.labelers_changed),
        )
        parts = [_signed(name, change) for name, change in counts if any(change)]
        if self.corrected:
            parts.append(f"{_counted('ranking', self.corrected)} corrected")
        return ", ".join(parts) or "the same rankings"

    @property
    def pairs_in_words(self) -> str:
        """`+1,204`, `−3`, or `0`."""
        if not self.strict_pairs:
            return "0"
        return f"{self.strict_pairs:+,}".replace("-", "−")

    @property
    def is_empty(self) -> bool:
        """Whether both hold the same rankings, chosen by the same filters."""
        return not (any(self.rankings) or self.filters)


def changed_filters(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[FilterChange, ...]:
    """The filters that differ, by name.

    >>> changed_filters({"pool": "all", "k": [4]}, {"pool": "all", "tag": ["a"]})
    (FilterChange(name='k', before=[4], after=None), \
FilterChange(name='tag', before=None, after=['a']))
    """
    return tuple(
        FilterChange(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _signed(name: str, change: Change) -> str:
    """`+3 −1 rankings`: both numbers where some came and some went."""
    signed = [
        f"{sign}{number:,}"
        for sign, number in (("+", change.added), ("−", change.removed))
        if number
    ]
    one = sum(change) == 1
    return f"{' '.join(signed)} {name}{'' if one else 's'}"


def _counted(name: str, number: int) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
