"""How a report's numbers are written in tables, cards and on terminals. PURE."""

from collections.abc import Callable, Sequence
from math import floor, log10
from typing import Final

from rm_training.evaluation.intervals import Number

Write = Callable[[float], str]
FEW_PROMPTS: Final = 10
"""With fewer, the percentiles of a bootstrap say too little."""


def percent(value: float) -> str:
    """0.9152 → "91.5 %"."""
    return f"{100 * value:.1f} %"


def points(value: float) -> str:
    """A difference of shares: 0.024 → "+2.4", -0.031 → "−3.1"."""
    return f"{100 * value:+.1f}".replace("-", "−")


def counted(count: int, noun: str) -> str:
    """1, "response" → "1 response"; 1204 → "1,204 responses"."""
    return f"{count:,} {noun}" + ("s" if count != 1 else "")


def caution(prompts: int) -> str:
    """What a reader of intervals must know; empty where there is nothing."""
    if prompts >= FEW_PROMPTS:
        return ""
    return f"Of {counted(prompts, 'prompt')} alone, intervals are far too narrow."


def figure(value: float) -> str:
    """Three decimals, more for what is smaller: 0.3411 → "0.341", 4e-05 → "0.00004"."""
    digits = 3 if value == 0 else max(3, -floor(log10(abs(value))))
    return f"{value:.{min(digits, 9)}f}".replace("-", "−")


def interval(ends: Sequence[float], write: Write) -> str:
    """[0.868, 0.958] → "86.8–95.8 %"; "−0.100 to 0.200" where an end is negative."""
    low, high = map(write, ends)
    if low.startswith(("−", "+")) or high.startswith(("−", "+")):
        return f"{low} to {high}"
    return f"{low.removesuffix(' %') if high.endswith(' %') else low}–{high}"


def said(number: Number, write: Write) -> str:
    """ "84.1 % (82.8–85.3 %)", or why there is no number."""
    if number["value"] is None:
        return f"undefined ({number['why']})"
    value = write(number["value"])
    return f"{value} ({interval(number['ci'], write)})" if number["ci"] else value
