"""The dashboards' pictures: what each shows, as rows and in words, before it is drawn.

A picture's table, its CSV file and its figure hold the same rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from ranking.dashboard_numbers import (
    Estimate,
    by_k,
    by_place,
    by_rank_distance,
    by_tag,
    by_version,
    by_week,
    strict,
    tie_rate,
    tie_rates,
)
from ranking.rank_table import IntArray
from ranking.tallies import Tallies

# Ouyang et al., Training language models to follow instructions with human feedback
# (arXiv 2203.02155), section 3.4.
PUBLISHED: Final = (
    (0.726, "InstructGPT, training labelers: 72.6 %"),
    (0.773, "InstructGPT, held-out labelers: 77.3 %"),
)
LATEST_DAYS: Final = 120
STRICT: Final = (
    "Strict convention: of the pairs that both labelers ordered, those ordered alike;"
    " a pair that either tied is left out."
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """What pictures are made of."""

    tallies: Tallies
    names: Mapping[int, str]
    tags: Mapping[str, IntArray]

    @cached_property
    def overall(self) -> Estimate:
        """Agreement of all together, which several pictures show."""
        return strict(self.tallies)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One figure: rows of estimates, or of `counted` numbers."""

    name: str
    title: str
    axis: str  # what the rows are
    measure: str  # what is measured
    form: str  # line, dots or bars
    rows: Sequence[Estimate]
    overall: Estimate | None = None
    lines: Sequence[tuple[float, str]] = ()
    note: str = STRICT
    unit: str = "comparisons"
    counts: bool = False  # the parts themselves are shown, not shares

    @property
    def shown(self) -> Sequence[Estimate]:
        """The rows that have a value."""
        return [row for row in self.rows if row.value is not None]

    @property
    def finding(self) -> str:
        """What the figure shows, in words."""
        if not self.shown:
            why = self.rows[0].why if self.rows else "nothing has been counted yet"
            return f"No figure: {why}."
        if self.counts:
            return self._finding_of_counts()
        low = min(self.shown, key=lambda row: row.value or 0)
        high = max(self.shown, key=lambda row: row.value or 0)
        if low is high:
            return f"{self.measure}: {_said(low)}."
        return f"{self.measure}, from {_said(low)} to {_said(high)}."

    def _finding_of_counts(self) -> str:
        total = sum(row.part for row in self.shown)
        most = max(self.shown, key=lambda row: row.part)
        if len(self.shown) == 1:
            return f"{total:,.0f} {self.unit}, all on {most.label}."
        return (
            f"{total:,.0f} {self.unit} in {len(self.shown)} days; the most,"
            f" {most.part:,.0f}, on {most.label}."
        )


def _said(row: Estimate) -> str:
    sure = ""
    if row.interval:
        sure = f" ({row.interval[0] * 100:.1f}–{row.interval[1] * 100:.1f})"
    return f"{(row.value or 0) * 100:.1f} %{sure} at {row.label}"


def agreement_by_week(source: Source) -> Picture:
    """The line with its band, beside what others have published."""
    return Picture(
        name="agreement-by-week",
        title="Agreement over time",
        axis="Week",
        measure="Agreement",
        form="line",
        rows=by_week(source.tallies),
        overall=source.overall,
        lines=PUBLISHED,
        note=f"{STRICT} A comparison belongs to the week of its later ranking. Broken"
        " lines: the published agreement of InstructGPT's training labelers (72.6 ± 1.5"
        " %) and held-out labelers (77.3 ± 1.3 %); how these count ties is not known.",
    )


def agreement_by_k(source: Source) -> Picture:
    """More responses hold more near-ties."""
    return _dots("agreement-by-k", "Agreement by responses", "Responses", by_k, source)


def agreement_by_distance(source: Source) -> Picture:
    """Noise sits in near-ties."""
    note = f"{STRICT} The distance is the smaller of the two differences in rank."
    rows = by_rank_distance(source.tallies)
    return Picture(
        name="agreement-by-distance",
        title="Agreement by rank distance",
        axis="Tiers apart",
        measure="Agreement",
        form="line",
        rows=rows,
        overall=source.overall,
        note=note,
    )


def agreement_by_tag(source: Source) -> Picture:
    """A prompt counts in each of its tags."""
    return _dots(
        "agreement-by-tag",
        "Agreement by tag",
        "Tag",
        lambda tallies: by_tag(tallies, source.tags),
        source,
    )


def agreement_by_version(source: Source) -> Picture:
    """Comparisons whose two rankings saw the same instructions."""
    return _dots(
        "agreement-by-version",
        "Agreement by instructions version",
        "Instructions",
        by_version,
        source,
    )


def _dots(
    name: str,
    title: str,
    axis: str,
    rows: Callable[[Tallies], Sequence[Estimate]],
    source: Source,
) -> Picture:
    return Picture(
        name=name,
        title=title,
        axis=axis,
        measure="Agreement",
        form="dots",
        rows=rows(source.tallies),
        overall=source.overall,
    )


def ties_by_labeler(source: Source) -> Picture:
    """Finds who ties everything and who never ties."""
    return Picture(
        name="ties-by-labeler",
        title="Tie rate by labeler",
        axis="Labeler",
        measure="Tie rate",
        form="dots",
        rows=tie_rates(source.tallies, source.names),
        overall=tie_rate(source.tallies),
        note="Tied pairs of all pairs, over all rankings that count.",
        unit="pairs",
    )


def rank_by_place(source: Source) -> Picture:
    """Flat where the place on the page says nothing of the rank."""
    return Picture(
        name="rank-by-place",
        title="Mean rank by place on the page",
        axis="Place on the page",
        measure="Mean rank (0 % best, 100 % worst)",
        form="dots",
        rows=by_place(source.tallies),
        lines=((0.5, "where the place does not matter: 50 %"),),
        note="The order of responses is drawn at random, so every place has the same"
        " mean rank unless the place itself matters. Ties share their middle rank."
        " Places beyond the fourth exist only on pages with more responses.",
        unit="responses",
    )


def throughput(source: Source) -> Picture:
    """Rankings that count, by the day they were submitted."""
    days = source.tallies.judged.submitted.astype("datetime64[D]")
    rows = []
    if len(days):
        last = days.max()
        first = max(days.min(), last - np.timedelta64(LATEST_DAYS - 1, "D"))
        number = (days - first).astype(np.int64)
        counts = np.bincount(number[number >= 0])
        rows = [
            Estimate(
                label=str(first + np.timedelta64(day, "D")),
                part=float(count),
                whole=1,
                prompts=0,
                interval=None,
            )
            for day, count in enumerate(counts.tolist())
        ]
    return Picture(
        name="throughput",
        title="Rankings a day",
        axis="Day",
        measure="Rankings",
        form="bars",
        rows=rows,
        note=f"Current rankings that count, by the day (UTC) they were submitted; at"
        f" most the last {LATEST_DAYS} days. A corrected one counts on the day of its"
        " correction.",
        unit="rankings",
        counts=True,
    )


OF_AGREEMENT: Final = (
    agreement_by_week,
    agreement_by_distance,
    agreement_by_k,
    agreement_by_tag,
    agreement_by_version,
)
OF_HABITS: Final = (ties_by_labeler, rank_by_place)
PICTURES: Final[dict[str, Callable[[Source], Picture]]] = {
    "agreement-by-week": agreement_by_week,
    "agreement-by-distance": agreement_by_distance,
    "agreement-by-k": agreement_by_k,
    "agreement-by-tag": agreement_by_tag,
    "agreement-by-version": agreement_by_version,
    "ties-by-labeler": ties_by_labeler,
    "rank-by-place": rank_by_place,
    "throughput": throughput,
}
