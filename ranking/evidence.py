"""What the report looks at: counted rankings, comparisons, and counts per prompt.

`gather` goes over the tables once. `questions` then writes every number of the
report that carries an interval as counts per prompt, so that one bootstrap answers
all of them with the same draws.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from ranking.bias import length_bias, position_bias
from ranking.bootstrap import PromptCounts, counts_by_group, prompt_counts
from ranking.comparisons import Comparisons, compare
from ranking.concordance import kendall_w
from ranking.rank_table import (
    FloatArray,
    IntArray,
    Rankings,
    RankTable,
    canonical_rankings,
)

# A number of the report: its name, and the slice where it has several.
Question = tuple[str, int | str]
Counts = dict[Question, PromptCounts]

POOL: Question = ("pool", "")  # SE, SO, TT, TS
TIES: Question = ("ties", "")  # ties, pairs
ALPHA: Question = ("alpha", "")  # disagreement, then judgements by category
TAU: Question = ("tau", "")  # sum of tau-b, how many
W: Question = ("w", "")  # sum of W, how many

NO_RANKINGS = RankTable(
    ranks=np.zeros((0, 2), np.int16),
    cluster=np.zeros(0, np.int64),
    labeler=np.zeros(0, np.int64),
)


class GoldScore(NamedTuple):
    """One ranking beside the known order of its prompt."""

    prompt: int  # any integer, one for each prompt
    labeler: int  # index into the list of names
    agree: int  # strict pairs of the gold order that were ordered the same
    comparable: int  # all its strict pairs


@dataclass(frozen=True, eq=False)
class Counted:
    """One row a ranking that counts (no repeat); all columns `(n,)`."""

    prompt: IntArray
    k: IntArray
    labeler: IntArray
    version: IntArray
    week: IntArray
    seconds: FloatArray
    pairs: IntArray
    ties: IntArray


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the numbers are computed from.

    `labelers` are sorted, and every labeler code is a place in that list. `tags`
    names the counted prompts that carry each.
    """

    labelers: list[str]
    n_prompts: int
    rankings: list[Rankings]
    counted: Counted
    judged: Comparisons  # every two counted rankings of one set
    between: Comparisons  # of these, the ones of two different labelers
    oneself: Comparisons  # a labeler beside their own other ranking
    tags: dict[str, IntArray]

    @property
    def alpha_units(self) -> int:
        """Pairs that have two judgements or more."""
        return sum(
            table.n_pairs * distinct(table.item[table.judged_again])
            for table in self.rankings
        )


def distinct(numbers: IntArray) -> int:
    """How many different running numbers `(n,)` there are."""
    return int(np.count_nonzero(np.bincount(numbers)))


def gather(
    tables: Sequence[RankTable],
    *,
    labelers: Sequence[str],
    tags: Mapping[str, Collection[int]],
) -> Evidence:
    """Sort, compare and count the tables; `tags` hold the prompts of each, by cluster.

    Raises ValueError where two tables have the same K or two labelers one name.
    """
    by_k = sorted(tables, key=lambda table: table.ranks.shape[1]) or [NO_RANKINGS]
    ks = [table.ranks.shape[1] for table in by_k]
    if len(set(ks)) < len(ks):
        raise ValueError(f"each K has one table, but these have K = {ks}")
    clusters = np.unique(np.concatenate([table.cluster for table in by_k]))
    rankings = [
        canonical_rankings(table, clusters=clusters, labelers=labelers)
        for table in by_k
    ]
    comparisons = compare(rankings)
    counted = _counted(rankings)
    return Evidence(
        labelers=sorted(labelers),
        n_prompts=len(clusters),
        rankings=rankings,
        counted=counted,
        judged=comparisons.only(comparisons.both_counted),
        between=comparisons.between_labelers(),
        oneself=comparisons.with_oneself(),
        tags=_tagged(counted.prompt, clusters, tags),
    )


def pooled_questions(evidence: Evidence) -> Counts:
    """Counts per prompt behind the numbers over all prompts."""
    between, counted = evidence.between, evidence.counted
    return {
        POOL: prompt_counts(
            between.prompt,
            between.agree,
            between.differ,
            between.both_tied,
            between.one_tied,
        ),
        TIES: prompt_counts(counted.prompt, counted.ties, counted.pairs),
        ALPHA: _alpha(evidence),
        TAU: _mean_of_defined(between.prompt, between.tau_b),
        W: _concordance(evidence),
    }


def questions(evidence: Evidence) -> Counts:
    """Counts per prompt behind every number that has an interval."""
    between, pooled = evidence.between, pooled_questions(evidence)
    return {
        **pooled,
        **_strict_by("by_k", between.k, between),
        **_strict_by("by_version", between.version, between),
        **_strict_by("by_week", between.week, between),
        **_by_rank_distance(between),
        **_by_tag(evidence.tags, pooled[POOL]),
        **_by_labeler(evidence),
        **_biases(evidence.rankings),
    }


def _counted(rankings: Sequence[Rankings]) -> Counted:
    parts = [_counted_rows(table) for table in rankings]
    return Counted(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Counted))
    )


def _counted_rows(table: Rankings) -> Counted:
    rows = table.counted
    n = int(rows.sum())
    return Counted(
        prompt=table.prompt[rows],
        k=np.full(n, table.k),
        labeler=table.labeler[rows],
        version=table.version[rows],
        week=table.week[rows],
        seconds=table.seconds[rows],
        pairs=np.full(n, table.n_pairs),
        ties=table.ties[rows],
    )


def gold_questions(
    evidence: Evidence, scores: Iterable[GoldScore], *, labelers: Sequence[str]
) -> tuple[Counts, int]:
    """Right and wrong strict pairs of the gold orders per prompt, by labeler, and how
    many prompts these are. `labelers` are the names that the scores point into.
    """
    rows = np.array(list(scores), np.int64).reshape(-1, 4)
    prompts, prompt = np.unique(rows[:, 0], return_inverse=True)
    places = {name: place for place, name in enumerate(evidence.labelers)}
    codes = np.array([places[name] for name in labelers], np.int64)
    agree, comparable = rows[:, 2], rows[:, 3]
    by_labeler = counts_by_group(codes[rows[:, 1]], prompt, agree, comparable - agree)
    return {("gold", code): c for code, c in by_labeler.items()}, len(prompts)


def _tagged(
    counted: IntArray, clusters: IntArray, tags: Mapping[str, Collection[int]]
) -> dict[str, IntArray]:
    """Prompts with a counted ranking, by running number, of each tag that has some."""
    ranked = clusters[np.flatnonzero(np.bincount(counted))]
    found = {
        tag: np.intersect1d(np.array(list(some), np.int64), ranked)
        for tag, some in tags.items()
    }
    return {
        tag: np.searchsorted(clusters, some) for tag, some in found.items() if some.size
    }


def _alpha(evidence: Evidence) -> PromptCounts:
    """Krippendorff's disagreement and category counts, in `krippendorff_alpha`'s order.

    Of m judgements of a pair, the ordered pairs of unequal ones are twice the SO
    and TS among the two rankings that judged it; units have m ≥ 2.
    """
    judged = evidence.judged
    unequal = 2 * (judged.differ + judged.one_tied) * judged.unit_weight
    nothing = np.zeros(len(judged))
    rows = [(judged.prompt, unequal, nothing, nothing, nothing)]
    for table in evidence.rankings:
        kept = table.judged_again
        gaps = table.gaps[:, kept]
        better, worse = (gaps < 0).sum(axis=0), (gaps > 0).sum(axis=0)
        tied = table.n_pairs - better - worse
        rows.append((table.prompt[kept], np.zeros(len(tied)), better, tied, worse))
    prompt, *columns = (np.concatenate(c) for c in zip(*rows, strict=True))
    return prompt_counts(prompt, *columns)


def _concordance(evidence: Evidence) -> PromptCounts:
    found = [kendall_w(table) for table in evidence.rankings]
    prompts = [np.zeros(0, np.int64), *(prompt for prompt, _ in found)]
    values = [np.zeros(0), *(w for _, w in found)]
    return _mean_of_defined(np.concatenate(prompts), np.concatenate(values))


def _mean_of_defined(prompt: IntArray, values: FloatArray) -> PromptCounts:
    """Sum and number of the values that are defined."""
    defined = ~np.isnan(values)
    return prompt_counts(prompt, np.where(defined, values, 0), defined.astype(int))


def _strict_by(name: str, group: IntArray, rows: Comparisons) -> Counts:
    """SE and SO of each slice of one kind."""
    slices = counts_by_group(group, rows.prompt, rows.agree, rows.differ)
    return {(name, value): counts for value, counts in slices.items()}


def _by_rank_distance(rows: Comparisons) -> Counts:
    """SE and SO at each distance that occurs; each comparison is counted once."""
    agree, differ = rows.agree_at.T, rows.differ_at.T
    return {
        ("by_rank_distance", distance): prompt_counts(
            rows.prompt[met], agree[distance - 1][met], differ[distance - 1][met]
        )
        for distance, met in enumerate((agree + differ) > 0, start=1)
        if met.any()
    }


def _by_tag(tags: Mapping[str, IntArray], pool: PromptCounts) -> Counts:
    """SE and SO of the prompts of each tag; a prompt counts in each of its tags."""
    counts: Counts = {}
    for tag, prompts in tags.items():
        _, places, _ = np.intersect1d(
            pool.prompts, prompts, assume_unique=True, return_indices=True
        )
        if places.size:
            some = PromptCounts(pool.prompts[places], pool.counts[:2, places])
            counts["by_tag", tag] = some
    return counts


def _by_labeler(evidence: Evidence) -> Counts:
    """SE and SO of each labeler with all others, and with themselves."""
    rows = evidence.between
    others = counts_by_group(
        np.concatenate([rows.first, rows.second]),
        np.concatenate([rows.prompt, rows.prompt]),
        np.concatenate([rows.agree, rows.agree]),
        np.concatenate([rows.differ, rows.differ]),
    )
    vs_others: Counts = {("vs_others", code): c for code, c in others.items()}
    own = evidence.oneself
    return vs_others | _strict_by("self_consistency", own.first, own)


def _biases(rankings: Sequence[Rankings]) -> Counts:
    """What `bias.py` sums, by labeler; for positions the number of rankings too."""
    placed = [position_bias(table) for table in rankings]
    prompt, labeler, *sums = (np.concatenate(c) for c in zip(*placed, strict=True))
    slopes = counts_by_group(labeler, prompt, *sums, np.ones(len(prompt)))
    sized = [length_bias(table) for table in rankings]
    prompt, labeler, *sums = (np.concatenate(c) for c in zip(*sized, strict=True))
    lengths = counts_by_group(labeler, prompt, *sums)
    return {
        **{("position_bias", code): counts for code, counts in slopes.items()},
        **{("length_bias", code): counts for code, counts in lengths.items()},
    }
