"""What can be written of a dataset, and which choices go together. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

EACH: Final = ("each",)
ORDERS: Final = ("each", "consensus")
DISAGREEMENTS: Final = ("each", "majority", "soft", "consensus")
ROWS: Final = ("jsonl", "parquet")
SPLITS: Final = ("train", "valid1", "valid2", "all")


class ExportRefused(ValueError):  # noqa: N818  reads as what happened
    """The choices do not go together, the folder holds something else, or the dataset
    is not reproducible any more; nothing was written."""


@dataclass(frozen=True)
class Kind:
    """What rows of a kind can be written as, the first format by default, and what
    can become of disagreement between labelers."""

    formats: tuple[str, ...]
    disagreements: tuple[str, ...]


KINDS: Final[Mapping[str, Kind]] = {
    "rankings": Kind((*ROWS, "csv"), ORDERS),
    "pairs": Kind(ROWS, DISAGREEMENTS),
    "kto": Kind(ROWS, ORDERS),
    "openrlhf": Kind(ROWS, DISAGREEMENTS),
    "nemo": Kind(ROWS, DISAGREEMENTS),
    "label-studio": Kind(("json",), EACH),
    "argilla": Kind(("json",), EACH),
}
FORMATS: Final = tuple(
    dict.fromkeys(f for kind in KINDS.values() for f in kind.formats)
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One way to write a dataset. An empty format is the first one of its kind.

    Raises ExportRefused for words that are not known or do not go together.
    """

    kind: str
    format: str = ""
    disagreement: str = "each"
    split: str = "all"

    def __post_init__(self) -> None:
        _known("kind", self.kind, tuple(KINDS))
        kind = KINDS[self.kind]
        if not self.format:
            object.__setattr__(self, "format", kind.formats[0])
        _known("format", self.format, FORMATS)
        _known("disagreement", self.disagreement, DISAGREEMENTS)
        _known("split", self.split, SPLITS)
        self._fits("format", self.format, kind.formats)
        self._fits("disagreement", self.disagreement, kind.disagreements)

    def _fits(self, what: str, word: str, words: tuple[str, ...]) -> None:
        if word not in words:
            raise ExportRefused(
                f"{self.kind} cannot be written with {what} {word}: it takes"
                f" {' or '.join(words)}"
            )

    @property
    def file(self) -> str:
        """Name of the data file in its folder, as in `pairs.jsonl`."""
        return f"{self.kind}.{self.format}"

    @property
    def name(self) -> str:
        """What tells it from other files of the dataset: `pairs.jsonl`, and
        `pairs-soft-train.jsonl` where something else than all was asked for."""
        words = [self.kind]
        words += [self.disagreement] if self.disagreement != "each" else []
        words += [self.split] if self.split != "all" else []
        return f"{'-'.join(words)}.{self.format}"

    @property
    def query(self) -> str:
        """What an address of the file says besides kind and format: nothing, or
        `?disagreement=soft&split=train`."""
        told = {"disagreement": self.disagreement, "split": self.split}
        usual = {"disagreement": "each", "split": "all"}
        words = {what: word for what, word in told.items() if word != usual[what]}
        return f"?{urlencode(words)}" if words else ""


def _known(what: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise ExportRefused(f"{what}: {word!r} is none of {', '.join(words)}")
