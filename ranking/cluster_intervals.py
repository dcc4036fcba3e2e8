"""95 % intervals of shares over prompts, quick enough for a page.

The pairs of a prompt depend on each other, so the unit is the prompt, as in
`ranking.bootstrap`. Up to a thousand prompts a page draws the report's own bootstrap.
Beyond, a thousand draws of every prompt would cost more than the rest of the page;
there the interval comes from the variance between prompts, to which the bootstrap
converges:

    R = Σ a / Σ n        e = a - R · n        half = t · √(m / (m - 1) · Σ e²) / Σ n

over m prompts with part a and whole n, t the 97.5 % point of Student's distribution
with m - 1 degrees of freedom. Source: Cochran, Sampling Techniques, chapter 6 (the
ratio estimate). A slice of few prompts is drawn, however large the project is.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Final, TypeVar

import numpy as np

from ranking.bootstrap import PromptCounts, bootstrap_totals, percentile_interval
from ranking.conventions import ratio

MOST_DRAWN: Final = 1_000  # prompts of the project
FEW: Final = 30  # prompts of a slice
Z: Final = 1.959963984540054  # 97.5 % of the normal distribution

Interval = list[float] | None
Key = TypeVar("Key")


def share_intervals(
    counts: Mapping[Key, PromptCounts], *, n_prompts: int
) -> dict[Key, Interval]:
    """The interval of Σ part / Σ whole of each slice; `counts (2, m)` are part, whole.

    None where fewer than two prompts have any of it. `n_prompts` is how many prompts
    the running numbers of `PromptCounts.prompts` run over.
    """
    found = {key: _occurring(count) for key, count in counts.items()}
    drawn: dict[Key, Interval] = dict.fromkeys(found)
    known = {key: some for key, some in found.items() if len(some.prompts) > 1}
    if n_prompts <= MOST_DRAWN:
        totals = bootstrap_totals(known, n_prompts=n_prompts)
        return drawn | {
            key: percentile_interval(ratio(*t)) for key, t in totals.items()
        }
    return drawn | {key: _alone(some) for key, some in known.items()}


def _occurring(counts: PromptCounts) -> PromptCounts:
    some = counts.counts[1] > 0
    if some.all():
        return counts
    return PromptCounts(counts.prompts[some], counts.counts[:, some])


def _alone(counts: PromptCounts) -> Interval:
    m = len(counts.prompts)
    if m >= FEW:
        return linearised(counts)
    own = PromptCounts(np.arange(m), counts.counts)
    return percentile_interval(ratio(*bootstrap_totals({0: own}, n_prompts=m)[0]))


def linearised(counts: PromptCounts) -> Interval:
    """The interval by the variance between prompts, within 0 and 1; m is 2 or more."""
    m, (part, whole) = len(counts.prompts), counts.totals.tolist()
    share = part / whole
    # Σ (a - R · n)² of the sums of products: no column is made on the way.
    (aa, an), (_, nn) = (counts.counts @ counts.counts.T).tolist()
    squares = max(aa - 2 * share * an + share**2 * nn, 0.0)
    half = student(m - 1) * sqrt(m / (m - 1) * squares) / whole
    return [max(share - half, 0.0), min(share + half, 1.0)]


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t, right to 0.001 from 9 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, v = Z, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
