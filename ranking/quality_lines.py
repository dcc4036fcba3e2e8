"""PURE: the lines that a labeler's numbers are read against, and how.

Every line stands here, with where it comes from. Somebody is flagged only where the
whole 95 % interval lies on the wrong side of a line (`agreement.md`, section 5), and
called fine only where all of it lies on the right side; a flag says where an admin
should look, and proves nothing.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final

from ranking.gold import Share

# 238 words a minute: Brysbaert, Journal of Memory and Language 109 (2019).
READING_SECONDS_PER_WORD: Final = 0.25
# Four times as fast as people read.
LEAST_SECONDS_PER_WORD: Final = 0.06
# A word of English with the blank after it. Counting words would read every text.
CHARACTERS_PER_WORD: Final = 6
# Half an hour without a ranking ends a sitting, as web analytics end a visit.
SITTING_GAP_SECONDS: Final = 30 * 60
# Percentile intervals of fewer prompts are too narrow (docs/decisions.md, the gate).
FEWEST_PROMPTS: Final = 10
# A window of agreement over time, and how far it moves on.
WINDOW_PROMPTS: Final = 50
WINDOW_STEP: Final = 25

# What labelers of InstructGPT agree among each other (Ouyang et al., 2022).
PUBLISHED_AGREEMENT: Final = 0.726
# Half of the way from a coin toss to that, rounded down.
LEAST_AGREEMENT: Final = 0.6


@dataclass(frozen=True, slots=True)
class Line:
    """What is fine: from `least` to `most`, both included; None: no end there."""

    least: float | None = None
    most: float | None = None
    meaning: str = ""


AGREEMENT: Final = Line(
    least=LEAST_AGREEMENT, meaning="half of the way from a coin toss to 72.6 %"
)
SELF_CONSISTENCY: Final = Line(
    least=PUBLISHED_AGREEMENT, meaning="what different people agree in InstructGPT"
)
# From first to last place on the page: a tenth of the ranks.
POSITION: Final = Line(
    least=-0.1, most=0.1, meaning="a tenth of the ranks from first to last place"
)
LENGTH: Final = Line(
    least=-0.1, most=0.1, meaning="ten points from others on the same prompts"
)
TIES: Final = Line(
    least=-0.15, most=0.15, meaning="fifteen points from others on the same prompts"
)
HURRIED: Final = Line(most=0.1, meaning="one ranking in ten")
# A sitting of fifty rankings that ends ten points below where it began.
FATIGUE: Final = Line(least=-0.02, meaning="two points for every ten rankings")


class Verdict(Enum):
    """What a number says of a labeler, in words."""

    FINE = "fine"
    FLAGGED = "look here"
    UNDECIDED = "the data do not decide yet"
    NOT_ENOUGH = "not enough data"
    NO_LINE = ""  # a number to be read by itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A number with its 95 % interval, beside its line.

    `value` is None where it is undefined, `interval` also where too few `prompts` (the
    number of prompts it rests on) tell how prompts differ; `why` says which, in words.
    """

    value: float | None
    interval: tuple[float, float] | None
    prompts: int
    line: Line | None = None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """Flagged if all of the interval is on the wrong side of the line, fine if all
        of it is on the right side; between the two the data do not decide. Without a
        number or an interval there is not enough data.
        """
        if self.value is None or self.interval is None:
            return Verdict.NOT_ENOUGH
        if self.line is None:
            return Verdict.NO_LINE
        low, high = self.interval
        least = -inf if self.line.least is None else self.line.least
        most = inf if self.line.most is None else self.line.most
        if high < least or low > most:
            return Verdict.FLAGGED
        return Verdict.FINE if least <= low and high <= most else Verdict.UNDECIDED


ONE_PROMPT: Final = "all of it comes from one prompt; an interval needs two"


def measure_of(share: Share, *, line: Line | None = None, missing: str) -> Measure:
    """A share of pairs or prompts; `missing` says what there is none of."""
    return Measure(
        value=share.value,
        interval=share.interval,
        prompts=share.prompts,
        line=line,
        why=missing if share.value is None else "" if share.interval else ONE_PROMPT,
    )
