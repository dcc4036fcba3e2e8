"""What a labeler learns from a training prompt: the right order beside theirs.

The one place where a gold order reaches a labeler: for training prompts only, and
only after their own ranking is stored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from annotation.models import AssignmentSource, Purpose
from annotation.rendering import render
from annotation.shown import as_shown
from ranking.gold import sign
from ranking.models import Ranking
from ranking.weak_order import dense_ranks

SAME, TIED, REVERSED = "same", "tied", "reversed"


@dataclass(frozen=True, slots=True)
class Compared:
    """A strict pair of the gold order, by letters, and what the labeler made of it."""

    better: str
    worse: str
    yours: str  # SAME, TIED or REVERSED

    @property
    def agrees(self) -> bool:
        """Whether the labeler ordered it the same; a tie is not the same."""
        return self.yours == SAME


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """Two orders of one prompt by the letters of the labeler's page; ranks dense."""

    gold: dict[str, int]
    yours: dict[str, int]
    pairs: list[Compared]
    html: str  # what the project says to this prompt; "" for nothing

    @property
    def agree(self) -> int:
        """Pairs ordered as in the gold order."""
        return sum(pair.agrees for pair in self.pairs)

    @property
    def gold_line(self) -> str:
        """The right order in one line: `B > A = C > D`."""
        return order_line(self.gold)

    @property
    def your_line(self) -> str:
        """Their order in one line."""
        return order_line(self.yours)

    def as_json(self) -> dict[str, Any]:
        """For the API: letters and ranks, no id of anything."""
        return {
            "agree": self.agree,
            "comparable": len(self.pairs),
            "gold": self.gold,
            "yours": self.yours,
            "pairs": [asdict(pair) for pair in self.pairs],
            "html": self.html,
        }


def has_feedback(ranking: Ranking) -> bool:
    """Whether it answers a training prompt. No query where submit made the ranking."""
    assignment = ranking.assignment
    return (
        assignment.source == AssignmentSource.DIRECT
        and assignment.prompt.purpose == Purpose.TRAINING
        and assignment.prompt.gold is not None
    )


def feedback_of(ranking: Ranking) -> Feedback | None:
    """What to show beside a stored ranking; None for all but training prompts.

    Two queries for a training prompt, none for any other.
    """
    if not has_feedback(ranking):
        return None
    assignment = ranking.assignment
    prompt = assignment.prompt
    responses = prompt.responses.only("external_id", "prompt_id")
    letters = {
        response.pk: letter
        for letter, response in as_shown(assignment, responses).items()
    }
    names = {response.external_id: letters[response.pk] for response in responses}
    placed = ranking.placements.values_list("response", "rank")
    yours = {letters[response]: rank for response, rank in placed}
    gold = {names[name]: rank for name, rank in dense_ranks(prompt.gold or {}).items()}
    note = prompt.metadata.get("feedback")
    return Feedback(
        gold=dict(sorted(gold.items())),
        yours=dict(sorted(yours.items())),
        pairs=compare(yours, gold),
        html=render(note) if isinstance(note, str) else "",
    )


def compare(yours: dict[str, int], gold: dict[str, int]) -> list[Compared]:
    """Every strict pair of the gold order, best first."""
    ordered = sorted(gold, key=lambda letter: (gold[letter], letter))
    said = {-1: SAME, 0: TIED, 1: REVERSED}
    return [
        Compared(better, worse, said[sign(yours[better] - yours[worse])])
        for better, worse in combinations(ordered, 2)
        if gold[better] < gold[worse]
    ]


def order_line(ranks: Mapping[str, int]) -> str:
    """`{"A": 2, "B": 1, "C": 2}` as "B > A = C"."""
    tiers: dict[int, list[str]] = {}
    for letter in sorted(ranks):
        tiers.setdefault(ranks[letter], []).append(letter)
    return " > ".join(" = ".join(tiers[rank]) for rank in sorted(tiers))
