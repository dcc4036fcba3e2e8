"""How often the model orders pairs as people did, in all and by slice. PURE."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import FloatArray, IntArray
from rm_training.evaluation.intervals import Clusters, Number, missing
from rm_training.evaluation.judged import Pairs, Split

Rows = dict[str, IntArray]
"""Slice → places of its pairs."""

LENGTHS: Final = (200, 500, 1_000, 2_000)
"""Characters of the longer response of a pair: where its buckets end."""
STRENGTHS: Final = ("≤ 0", "1", "2", "≥ 3")
"""Rating of the better response less that of the worse one."""
LOW_QUANTILE: Final = 0.1
FEWEST_PAIRS: Final = 50
FEWEST_PROMPTS: Final = 10
TOO_FEW: Final = (
    f"no slice has {FEWEST_PAIRS} strict pairs from {FEWEST_PROMPTS} prompts"
)


def accuracy(split: Split, clusters: Clusters) -> dict[str, Any]:
    """Part 1 of the suite. Where the model ties a pair, half of it is right.

    `pair_mean` counts every pair of every ranking once; `prompt_mean` takes the mean
    over the pairs of a ranking, then over the rankings of a prompt, then over prompts.
    `nll` is the mean of -log sigmoid(Δ) over pairs, in nats (chance: ln 2).
    """
    pairs, everything = split.strict, split.pairs
    slices = {name: rows(split) for name, rows in SLICES.items()}
    return {
        "pair_mean": clusters.share(pairs.prompt, pairs.credit),
        "prompt_mean": _prompt_mean(pairs, clusters),
        "nll": clusters.share(pairs.prompt, np.logaddexp(0, -pairs.margin)),
        "model_ties": clusters.share(pairs.prompt, (pairs.margin == 0).astype(float)),
        "human_ties": clusters.share(
            everything.prompt,
            (everything.distance == 0).astype(float),
            why="no ranking has two responses to compare",
        ),
        "slices": {name: sliced(pairs, of, clusters) for name, of in slices.items()},
        "low_quantile": _low_quantile(pairs, slices.values(), clusters),
    }


def sliced(pairs: Pairs, rows: Rows, clusters: Clusters) -> list[Number]:
    """Accuracy of each slice, with its label, in the order of the rows."""
    return [
        {"label": label, **clusters.share(pairs.prompt[at], pairs.credit[at])}
        for label, at in rows.items()
    ]


def mean_by_prompt(pairs: Pairs) -> tuple[IntArray, FloatArray]:
    """(prompts, accuracies), `(m,)` each: of every prompt with a strict pair."""
    rankings, of_pair = np.unique(pairs.ranking, return_inverse=True)
    of_rankings = np.bincount(of_pair, weights=pairs.credit) / np.bincount(of_pair)
    prompt = np.zeros(len(rankings), np.int64)
    prompt[of_pair] = pairs.prompt
    prompts, of_ranking = np.unique(prompt, return_inverse=True)
    return prompts, ratio(
        np.bincount(of_ranking, weights=of_rankings), np.bincount(of_ranking)
    )


def _prompt_mean(pairs: Pairs, clusters: Clusters) -> Number:
    if not len(pairs):
        return clusters.share(pairs.prompt, pairs.credit)
    return clusters.share(*mean_by_prompt(pairs))


def _low_quantile(pairs: Pairs, slices: Iterable[Rows], clusters: Clusters) -> Number:
    """The accuracy that a tenth of the slices fall short of, over all slices with
    enough pairs; each draw takes the quantile of its own slices. `n` counts slices."""
    enough = [
        at
        for rows in slices
        for at in rows.values()
        if len(at) >= FEWEST_PAIRS
        and len(np.unique(pairs.prompt[at])) >= FEWEST_PROMPTS
    ]
    if not enough:
        return missing(TOO_FEW)
    slot = np.concatenate([np.full(len(at), i) for i, at in enumerate(enough)])
    at = np.concatenate(enough)
    columns = [
        column
        for number in range(len(enough))
        for column in (pairs.credit[at] * (slot == number), (slot == number) * 1.0)
    ]

    def low(*sums: FloatArray) -> FloatArray:
        shares = ratio(np.array(sums[0::2]), np.array(sums[1::2]))
        # Many times as slow: only where a draw has none of a slice.
        quantile = np.nanquantile if np.isnan(shares).any() else np.quantile
        found: FloatArray = quantile(shares, LOW_QUANTILE, axis=0)
        return found

    number = clusters.number(pairs.prompt[at], columns, low, why=TOO_FEW)
    return {**number, "n": len(enough)}


def _by(split: Split, key: Callable[[int], object]) -> Rows:
    """Slices of the strict pairs by what a key says of their places, sorted."""
    found: defaultdict[object, list[int]] = defaultdict(list)
    for place in range(len(split.strict)):
        found[key(place)].append(place)
    return {str(name): np.array(found[name]) for name in sorted(found, key=_in_order)}


def _in_order(key: object) -> tuple[bool, float, str]:
    """Numbers by size, before texts by their letters."""
    number = isinstance(key, int)
    return not number, key if isinstance(key, int) else 0, str(key)


def _by_tag(split: Split) -> Rows:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for place, prompt in enumerate(split.strict.prompt):
        for tag in split.prompts[prompt].tags:
            found[tag].append(place)
    return {tag: np.array(found[tag]) for tag in sorted(found)}


def _by_k(split: Split) -> Rows:
    """Responses that the ranking ranks."""
    ranked = [
        sum(rank > 0 for rank in ranks)
        for prompt in split.prompts
        for ranks in prompt.rankings
    ]
    return _by(split, lambda place: ranked[split.strict.ranking[place]])


def _by_distance(split: Split) -> Rows:
    return _by(split, lambda place: int(split.strict.distance[place]))


def _by_strength(split: Split) -> Rows:
    """How much higher the labeler rated the better response: pairs that they rated."""
    pairs, first = split.strict, split.first_response
    found: dict[str, list[int]] = {label: [] for label in STRENGTHS}
    for place, prompt in enumerate(pairs.prompt):
        rated = split.ratings[pairs.ranking[place]]
        better = rated[pairs.better[place] - first[prompt]]
        worse = rated[pairs.worse[place] - first[prompt]]
        if better is not None and worse is not None:
            step = min(max(better - worse, 0), len(STRENGTHS) - 1)
            found[STRENGTHS[step]].append(place)
    return {label: np.array(at) for label, at in found.items() if at}


def _by_turns(split: Split) -> Rows:
    return _by(split, lambda place: split.prompts[split.strict.prompt[place]].turns)


def _by_models(split: Split) -> Rows:
    """Unordered pairs of the models that wrote the two responses."""
    pairs, models = split.strict, split.models
    found: defaultdict[str, list[int]] = defaultdict(list)
    for place, (a, b) in enumerate(zip(pairs.better, pairs.worse, strict=True)):
        first, second = models[a], models[b]
        if first is not None and second is not None:
            found[" / ".join(sorted((first, second)))].append(place)
    return {label: np.array(found[label]) for label in sorted(found)}


def _by_length(split: Split) -> Rows:
    pairs = split.strict
    longer = np.maximum(split.lengths[pairs.better], split.lengths[pairs.worse])
    bucket = np.searchsorted(LENGTHS, longer, side="right")
    return {
        label: np.flatnonzero(bucket == number)
        for number, label in enumerate(_length_labels())
        if (bucket == number).any()
    }


def _length_labels() -> Iterator[str]:
    starts = (0, *LENGTHS)
    for start, end in zip(starts, LENGTHS, strict=False):
        yield f"{start:,}–{end - 1:,}"
    yield f"{LENGTHS[-1]:,} and more"


SLICES: Final[Mapping[str, Callable[[Split], Rows]]] = {
    "k": _by_k,
    "rank_distance": _by_distance,
    "strength": _by_strength,
    "turns": _by_turns,
    "length": _by_length,
    "tag": _by_tag,
    "models": _by_models,
}
