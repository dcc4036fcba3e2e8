"""A number with its interval, or the reason why there is none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

import numpy as np

from ranking.bootstrap import PromptCounts, percentile_interval
from ranking.conventions import ratio
from ranking.rank_table import FloatArray

Document = dict[str, Any]
Question = tuple[str, int | str]

NO_PAIR = "no ranking has two responses to compare"
NO_STRICT = "no pair was ordered strictly by two labelers"
ONE_PROMPT = "all of it comes from one prompt; an interval needs two"


@dataclass(frozen=True, eq=False)
class Number:
    """A number of the report before anyone asks whether it is defined.

    `value` is NaN where it is not, and `why` says it in words; `draws` holds its
    value in every draw of the bootstrap, `prompts` how many prompts it rests on.
    """

    value: float
    draws: FloatArray
    prompts: int
    why: str


@dataclass
class Estimates:
    """Counts and their bootstrap draws, as values, intervals and reasons.

    `undefined` fills while numbers are asked for: dotted path → reason.
    """

    counts: Mapping[Question, PromptCounts]
    draws: Mapping[Question, FloatArray]
    undefined: dict[str, str] = field(default_factory=dict)

    def totals(self, question: Question) -> FloatArray:
        """Each count of the question over all prompts, `(c,)`."""
        return self.counts[question].totals

    def prompts(self, question: Question) -> int:
        """Number of prompts that contribute anything but zeros."""
        return int(np.count_nonzero(self.counts[question].counts.any(axis=0)))

    def number(
        self,
        question: Question,
        formula: Callable[[FloatArray], FloatArray],
        *,
        why: str,
    ) -> Number:
        """`formula` of the counts `(c, …)`: once as they are, once per draw."""
        return Number(
            value=float(formula(self.totals(question))),
            draws=formula(self.draws[question]),
            prompts=self.prompts(question),
            why=why,
        )

    def optional(
        self,
        question: Question,
        formula: Callable[[FloatArray], FloatArray],
        *,
        why: str,
    ) -> Number:
        """`number`, undefined also where the question was never asked."""
        if question not in self.counts:
            return Number(value=nan, draws=np.zeros(0), prompts=0, why=why)
        return self.number(question, formula, why=why)

    def whole(self, question: Question, count: int) -> int:
        """One count of a question over all prompts; 0 where it was never asked."""
        return int(self.totals(question)[count]) if question in self.counts else 0

    def value(self, path: str, number: Number) -> float | None:
        """The value, or None with the reason noted under `path`."""
        if isnan(number.value):
            self.undefined[path] = number.why
            return None
        return number.value

    def interval(self, path: str, number: Number) -> list[float] | None:
        """95 % interval `[lo, hi]`, or None with the reason noted under `path`.

        Every draw of one prompt is that prompt again: a width of 0 would claim
        certainty, so a number that rests on one prompt has no interval.
        """
        if isnan(number.value):
            self.undefined[path] = number.why
            return None
        if number.prompts < 2:
            self.undefined[path] = ONE_PROMPT
            return None
        return percentile_interval(number.draws)

    def value_and_interval(self, path: str, number: Number) -> Document:
        """`{"value", "ci"}`; where both are None one reason under `path` serves."""
        value = self.value(path, number)
        ci = None if value is None else self.interval(f"{path}.ci", number)
        return {"value": value, "ci": ci}

    def strict(
        self, path: str, question: Question, *, missing: str, tied: str = NO_STRICT
    ) -> Document:
        """`{"agree", "comparable", "value", "ci"}` of a question whose counts begin
        with SE and SO.

        Undefined because of `missing` where nothing was compared at all, because of
        `tied` where no pair was strict on both sides.
        """
        if question not in self.counts or not len(self.counts[question].prompts):
            self.undefined[path] = missing
            return {"agree": 0, "comparable": 0, "value": None, "ci": None}
        agree, differ = self.totals(question)[:2]
        number = Number(
            value=float(ratio(agree, agree + differ)),
            draws=_strict_share(self.draws[question]),
            prompts=int(self.counts[question].counts[:2].any(axis=0).sum()),
            why=tied,
        )
        return {
            "agree": int(agree),
            "comparable": int(agree + differ),
            **self.value_and_interval(path, number),
        }


def _strict_share(counts: FloatArray) -> FloatArray:
    return ratio(counts[0], counts[0] + counts[1])
