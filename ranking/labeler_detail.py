"""What the report says of each labeler, and of every two."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ranking.conventions import ratio
from ranking.estimates import NO_PAIR, Document, Estimates
from ranking.evidence import Evidence

NOBODY_ELSE = "nobody else ranked a prompt that this labeler ranked"
NO_REPEAT = "no prompt was ranked twice by this labeler"
NO_STRICT_TWICE = "no pair was ordered strictly both times"
NO_SECONDS = "no time was recorded for these rankings"
NO_GOLD = "no ranking of this labeler has a known order beside it"
NO_GOLD_ORDER = "the known orders of these prompts tie everything"
NO_POSITIONS = "the order shown is not known for any ranking of this labeler"
NO_LENGTHS = "this labeler ordered no two responses that are known to differ in length"


def labelers_detail(evidence: Evidence, estimates: Estimates) -> Iterator[Document]:
    """A row for each labeler with a counted ranking, by name."""
    counted = evidence.counted
    names = evidence.labelers
    ties, pairs, rankings = (
        np.bincount(counted.labeler, weights, len(names)).astype(int).tolist()
        for weights in (counted.ties, counted.pairs, np.ones(len(counted.prompt)))
    )
    seconds = _median_seconds(evidence)
    for code in sorted(set(counted.labeler.tolist())):
        path = f"labelers_detail.{names[code]}"
        note = partial(_or_why, estimates.undefined, path)
        yield {
            "labeler": names[code],
            "rankings": rankings[code],
            "tie_rate": note("tie_rate", _share(ties[code], pairs[code]), NO_PAIR),
            "vs_others": estimates.strict(
                f"{path}.vs_others", ("vs_others", code), missing=NOBODY_ELSE
            ),
            "self_consistency": estimates.strict(
                f"{path}.self_consistency",
                ("self_consistency", code),
                missing=NO_REPEAT,
                tied=NO_STRICT_TWICE,
            ),
            "median_seconds": note("median_seconds", seconds.get(code), NO_SECONDS),
            **_biases(estimates, path, code),
            "gold": estimates.strict(
                f"{path}.gold", ("gold", code), missing=NO_GOLD, tied=NO_GOLD_ORDER
            ),
        }


def _median_seconds(evidence: Evidence) -> dict[int, float]:
    """Median time per ranking of the labelers for whom any is known."""
    known = ~np.isnan(evidence.counted.seconds)
    labeler, seconds = evidence.counted.labeler[known], evidence.counted.seconds[known]
    order = np.argsort(labeler, kind="stable")
    codes, starts = np.unique(labeler[order], return_index=True)
    parts = np.split(seconds[order], starts[1:])
    return {
        int(code): float(np.median(part))
        for code, part in zip(codes, parts, strict=False)
    }


def _biases(estimates: Estimates, path: str, code: int) -> Document:
    """Whether the place on the page, or the length, predicts the rank."""
    slope = estimates.optional(
        ("position_bias", code), lambda c: ratio(c[0], c[1]), why=NO_POSITIONS
    )
    longer = estimates.optional(
        ("length_bias", code), lambda c: ratio(c[0], c[1]), why=NO_LENGTHS
    )
    place = estimates.value_and_interval(f"{path}.position_bias", slope)
    length = estimates.value_and_interval(f"{path}.length_bias", longer)
    return {
        "position_bias": {
            "slope": place["value"],
            "ci": place["ci"],
            "n": estimates.whole(("position_bias", code), 2),
        },
        "length_bias": {
            "longer_wins": estimates.whole(("length_bias", code), 0),
            "comparable": estimates.whole(("length_bias", code), 1),
            **length,
        },
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _or_why(
    undefined: dict[str, str], path: str, name: str, value: float | None, why: str
) -> float | None:
    """The value as it is; where it is None the reason is noted."""
    if value is None:
        undefined[f"{path}.{name}"] = why
    return value


def matrix(evidence: Evidence) -> list[Document]:
    """Strict agreement of every two labelers with a strict pair in common."""
    rows, names = evidence.between, evidence.labelers
    cells, places = np.unique(
        rows.first * len(names) + rows.second, return_inverse=True
    )
    agree, differ = (
        np.bincount(places, counts, len(cells)).astype(int).tolist()
        for counts in (rows.agree, rows.differ)
    )
    return [
        {
            "a": names[cell // len(names)],
            "b": names[cell % len(names)],
            "agree": same,
            "comparable": same + opposite,
            "value": same / (same + opposite),
        }
        for cell, same, opposite in zip(cells.tolist(), agree, differ, strict=True)
        if same + opposite
    ]
