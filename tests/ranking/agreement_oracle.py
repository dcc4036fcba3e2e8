"""The definitions of agreement, once more, as slow and plain loops over pairs."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import krippendorff
import numpy as np
from scipy.stats import kendalltau, rankdata

from tests.ranking.ranked import Ranked

Verdicts = dict[tuple[str, str], int]


@dataclass
class Tally:
    """SE, SO, TT and TS of some comparisons."""

    outcomes: Counter[str] = field(default_factory=Counter)

    def strict(self) -> tuple[int, int]:
        agree = self.outcomes["SE"]
        return agree, agree + self.outcomes["SO"]

    def share(self, **credits: float) -> float:
        total = self.outcomes.total()
        earned = sum(credit * self.outcomes[o] for o, credit in credits.items())
        return earned / total if total else float("nan")


def verdicts(row: Ranked) -> Verdicts:
    """-1 first better, 0 tie, 1 second better, for every pair of response ids."""
    dense = {rank: i for i, rank in enumerate(sorted(set(row.ranks.values())))}
    return {
        (a, b): dense[row.ranks[a]] - dense[row.ranks[b]]
        for a, b in combinations(row.responses, 2)
    }


def tally(twos: Sequence[tuple[Ranked, Ranked]]) -> Tally:
    """Count every pair that two rankings both judged."""
    result = Tally()
    for one, other in twos:
        theirs = verdicts(other)
        for key, mine in verdicts(one).items():
            result.outcomes[outcome(mine, theirs[key])] += 1
    return result


def outcome(mine: int, theirs: int) -> str:
    if mine == 0 and theirs == 0:
        return "TT"
    if mine == 0 or theirs == 0:
        return "TS"
    return "SE" if (mine < 0) == (theirs < 0) else "SO"


def rank_distances(twos: Sequence[tuple[Ranked, Ranked]]) -> dict[int, list[int]]:
    """[agree, comparable] by the smaller difference in dense rank."""
    rows: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for one, other in twos:
        theirs = verdicts(other)
        for key, mine in verdicts(one).items():
            if mine and theirs[key]:
                row = rows[min(abs(mine), abs(theirs[key]))]
                row[0] += (mine < 0) == (theirs[key] < 0)
                row[1] += 1
    return dict(rows)


def sets(rows: Sequence[Ranked]) -> Iterator[list[Ranked]]:
    """Rankings of the same responses of the same prompt."""
    found = defaultdict(list)
    for row in rows:
        found[row.prompt, row.responses].append(row)
    yield from found.values()


def twos_of(rows: Sequence[Ranked]) -> list[tuple[Ranked, Ranked]]:
    return [two for some in sets(rows) for two in combinations(some, 2)]


def comparisons(rows: Sequence[Ranked]) -> list[tuple[Ranked, Ranked]]:
    """Two rankings of one set, by different labelers, neither a repeat."""
    twos = twos_of([row for row in rows if not row.repeat])
    return [(a, b) for a, b in twos if a.labeler != b.labeler and len(a.ranks) > 1]


def tie_rate(rows: Sequence[Ranked]) -> tuple[int, int]:
    found = [v for row in rows if not row.repeat for v in verdicts(row).values()]
    return found.count(0), len(found)


def alpha(rows: Sequence[Ranked]) -> float:
    """Krippendorff's alpha, from the reference implementation."""
    units = []
    for some in sets([row for row in rows if not row.repeat]):
        judged = [verdicts(row) for row in some]
        for key in judged[0] if len(judged) > 1 else ():
            signs = [np.sign(v[key]) for v in judged]
            units.append([signs.count(s) for s in (-1, 0, 1)])
    if np.count_nonzero(np.sum(units, axis=0)) < 2:
        return float("nan")
    counts = np.array(units)
    return float(
        krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    )


def taus(rows: Sequence[Ranked]) -> list[float]:
    """Tau-b of every comparison, by SciPy; NaN where one side tied everything."""
    values = []
    for one, other in comparisons(rows):
        vectors = [[r.ranks[key] for key in one.responses] for r in (one, other)]
        values.append(float(kendalltau(*vectors).statistic))
    return values


def w_values(rows: Sequence[Ranked]) -> list[float]:
    """Tie-corrected W of every set, in the textbook form."""
    values = []
    for some in sets([row for row in rows if not row.repeat]):
        m, k = len(some), len(some[0].ranks)
        if m < 2:
            continue
        ranks = np.array([rankdata([r.ranks[x] for x in r.responses]) for r in some])
        s = ((ranks.sum(axis=0) - m * (k + 1) / 2) ** 2).sum()
        ties = sum(t**3 - t for row in ranks for t in Counter(row.tolist()).values())
        below = m**2 * (k**3 - k) - m * ties
        values.append(12 * s / below if below else float("nan"))
    return values


def resampled(rows: Sequence[Ranked], prompts: Sequence[int]) -> list[Ranked]:
    """The rankings of these prompts; a prompt drawn twice is two prompts."""
    return [
        replace(row, prompt=place)
        for place, prompt in enumerate(prompts)
        for row in rows
        if row.prompt == prompt
    ]


def numbers(rows: Sequence[Ranked]) -> dict[str, Any]:
    """Every number over all prompts; NaN where it is undefined."""
    pool = tally(comparisons(rows))
    agree, comparable = pool.strict()
    ties, pairs = tie_rate(rows)
    three_way = pool.share(SE=1, TT=1)
    t = ties / pairs if pairs else float("nan")
    chance = t**2 + 2 * ((1 - t) / 2) ** 2
    tau, w = np.array(taus(rows)), np.array(w_values(rows))
    return {
        "tie_rate": t,
        "strict": agree / comparable if comparable else float("nan"),
        "half_credit": pool.share(SE=1, TT=1, TS=0.5),
        "three_way": three_way,
        "kappa": (three_way - chance) / (1 - chance) if t != 1 else float("nan"),
        "alpha": alpha(rows),
        "kendall_tau_b": mean(tau),
        "kendall_w": mean(w),
    }


def mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
