"""The agreement report: every number of `agreement.md`, section 3, as one document.

Sums over all comparisons, then one division; 95 % percentile intervals of a
bootstrap over prompts. A number whose denominator is 0 is None, and `undefined`
says why: the key is the dotted path of the number or of the block it stands in,
with list rows named by what identifies them ("alpha", "intervals.alpha", "by_k.4",
"labelers_detail.alice.vs_others", "strict.ci" where only the interval is missing).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ranking.bootstrap import bootstrap_totals
from ranking.conventions import accuracy_band, kappa, krippendorff_alpha, ratio
from ranking.estimates import Document, Estimates, Number
from ranking.evidence import ALPHA, POOL, TAU, TIES, Evidence, W, gather, questions
from ranking.rank_table import FloatArray, RankTable

__all__ = ["RankTable", "accuracy_band", "report"]

NO_RANKING = "no ranking has been counted yet"
NO_OVERLAP = "no two labelers ranked the same prompt yet"
NO_PAIR = "no ranking has two responses to compare"
NO_UNIT = "no pair has two judgements"
ALL_TIED = "every pair is tied"
SAME_JUDGEMENT = "all judgements are the same"
TIED_ALL = "in every comparison one of the two rankings ties everything"
ALL_TIED_ALL = "every ranking of every prompt ties everything"
NOBODY_ELSE = "nobody else ranked a prompt that this labeler ranked"
NO_REPEAT = "no prompt was ranked twice by this labeler"
NO_STRICT_TWICE = "no pair was ordered strictly both times"
NO_SECONDS = "no time was recorded for these rankings"
NO_GOLD = "no gold prompts were counted in this report"
NO_POSITIONS = "the order in which responses were shown was not given to this report"
NO_LENGTHS = "the lengths of the responses were not given to this report"
IN_THIS_SLICE = {
    "by_k": "no two labelers ranked the same prompt with this many responses",
    "by_rank_distance": "no two rankings are this far apart on a pair",
    "by_tag": "no two labelers ranked the same prompt with this tag",
    "by_version": "no two labelers ranked the same prompt under this version",
    "by_week": "no prompt was ranked by a second labeler in this week",
}


def report(
    tables: Sequence[RankTable],
    *,
    labelers: Sequence[str],
    project: str,
    filters: Mapping[str, Any],
    tags: Mapping[int, Collection[str]] | None = None,
) -> Document:
    """The report of `agreement.md`, section 3, ready for `json.dumps`.

    `tables` hold the rankings that all filters have left, one table per K;
    `labelers` the names that `RankTable.labeler` points into; `tags` the tags of
    each prompt by its `cluster`. `project` and `filters` are passed through. The
    order of rows, tables and names changes nothing.

    A comparison of two weeks belongs to the later one, so the weeks add up to
    `strict`; one under two versions of the instructions belongs to neither, so a
    row of `by_version` equals the report filtered by that version. Rankings with an
    unknown week or version are in no row of these two.

    Raises ValueError where two tables have the same K or two labelers one name.
    """
    evidence = gather(tables, labelers=labelers, tags=tags or {})
    counts = questions(evidence)
    draws = bootstrap_totals(counts, n_prompts=evidence.n_prompts)
    estimates = Estimates(counts, draws)
    return {
        "project": project,
        "filters": dict(filters),
        **_size(evidence),
        **_headline(evidence, estimates),
        "n": _numbers_behind(evidence, estimates),
        **_slices(evidence, estimates),
        "labelers_detail": list(_labelers(evidence, estimates)),
        "matrix": _matrix(evidence),
        "undefined": estimates.undefined,
    }


def _size(evidence: Evidence) -> Document:
    counted = evidence.counted
    return {
        "rankings": len(counted.prompt),
        "labelers": len(np.unique(counted.labeler)),
        "prompts": len(np.unique(counted.prompt)),
        "prompts_with_overlap": len(np.unique(evidence.between.prompt)),
        "pairs": int(counted.pairs.sum()),
        "ties": int(counted.ties.sum()),
    }


def _headline(evidence: Evidence, estimates: Estimates) -> Document:
    """The numbers over all prompts, in the order of the document."""
    numbers = {
        "tie_rate": _tie_rate(evidence, estimates),
        "kappa": _kappa(estimates),
        "alpha": _alpha(estimates),
        "kendall_tau_b": _tau_b(evidence, estimates),
        "kendall_w": _w(evidence, estimates),
    }
    values = {name: estimates.value(name, number) for name, number in numbers.items()}
    intervals = {
        name: estimates.interval(f"intervals.{name}", number)
        for name, number in numbers.items()
    }
    return {
        "tie_rate": values.pop("tie_rate"),
        "strict": estimates.strict("strict", POOL, missing=NO_OVERLAP),
        **_with_ties(estimates),
        **values,
        "intervals": intervals,
    }


def _with_ties(estimates: Estimates) -> Document:
    """`half_credit` and `three_way`, over all comparisons."""
    agree, differ, both_tied, one_tied = estimates.totals(POOL)
    comparable = int(agree + differ + both_tied + one_tied)
    credit, same = agree + both_tied + one_tied / 2, agree + both_tied
    number = partial(estimates.number, POOL, why=NO_OVERLAP)
    half = number(lambda c: ratio(c[0] + c[2] + c[3] / 2, c.sum(axis=0)))
    three = number(_three_way)
    return {
        "half_credit": {
            "credit": float(credit),
            "comparable": comparable,
            **estimates.value_and_interval("half_credit", half),
        },
        "three_way": {
            "agree": int(same),
            "comparable": comparable,
            **estimates.value_and_interval("three_way", three),
        },
    }


def _three_way(pool: FloatArray) -> FloatArray:
    return ratio(pool[0] + pool[2], pool.sum(axis=0))


def _tie_rate(evidence: Evidence, estimates: Estimates) -> Number:
    why = NO_PAIR if len(evidence.counted.prompt) else NO_RANKING
    return estimates.number(TIES, lambda c: ratio(c[0], c[1]), why=why)


def _kappa(estimates: Estimates) -> Number:
    """From the pool and the ties of the same draws."""

    def value(pool: FloatArray, ties: FloatArray) -> FloatArray:
        return kappa(_three_way(pool), ratio(ties[0], ties[1]))

    return Number(
        value=float(value(estimates.totals(POOL), estimates.totals(TIES))),
        draws=value(estimates.draws[POOL], estimates.draws[TIES]),
        prompts=estimates.prompts(POOL),
        why=ALL_TIED if estimates.prompts(POOL) else NO_OVERLAP,
    )


def _alpha(estimates: Estimates) -> Number:
    why = SAME_JUDGEMENT if estimates.prompts(ALPHA) else NO_UNIT
    return estimates.number(ALPHA, lambda c: krippendorff_alpha(c[0], c[1:]), why=why)


def _tau_b(evidence: Evidence, estimates: Estimates) -> Number:
    why = TIED_ALL if len(evidence.between) else NO_OVERLAP
    return estimates.number(TAU, lambda c: ratio(c[0], c[1]), why=why)


def _w(evidence: Evidence, estimates: Estimates) -> Number:
    why = ALL_TIED_ALL if len(evidence.judged) else NO_OVERLAP
    return estimates.number(W, lambda c: ratio(c[0], c[1]), why=why)


def _numbers_behind(evidence: Evidence, estimates: Estimates) -> Document:
    defined = int(estimates.totals(TAU)[1])
    return {
        "alpha_units": evidence.alpha_units,
        "tau_pairs": defined,
        "tau_undefined": len(evidence.between) - defined,
        "w_prompts": int(estimates.totals(W)[1]),
    }


def _slices(evidence: Evidence, estimates: Estimates) -> Document:
    """Strict agreement by each property of a comparison or of its prompt."""
    counted = evidence.counted
    distances = {d for name, d in estimates.counts if name == "by_rank_distance"}
    versions, weeks = counted.version, counted.week
    return {
        name: _rows(estimates, name, column, sorted(values))
        for name, column, values in (
            ("by_k", "k", set(counted.k[counted.pairs > 0].tolist())),
            ("by_rank_distance", "distance", distances),
            ("by_tag", "tag", set(evidence.tags[0])),
            ("by_version", "version", set(versions[versions > 0].tolist())),
            ("by_week", "week", set(weeks[weeks > 0].tolist())),
        )
    }


def _rows(
    estimates: Estimates, name: str, column: str, values: Sequence[Any]
) -> list[Document]:
    """One row a slice: its label under `column`, then its strict agreement."""
    rows = []
    for value in values:
        label = iso_week(value) if column == "week" else value
        path, missing = f"{name}.{label}", IN_THIS_SLICE[name]
        strict = estimates.strict(path, (name, value), missing=missing)
        rows.append({column: label, **strict})
    return rows


def iso_week(week: int) -> str:
    """`202647` as "2026-W47"."""
    return f"{week // 100}-W{week % 100:02}"


def _labelers(evidence: Evidence, estimates: Estimates) -> Iterator[Document]:
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
            **_without_quality(estimates.undefined, path),
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


def _without_quality(undefined: dict[str, str], path: str) -> Document:
    """The measures that need what this report is not given, each with the reason."""
    undefined[f"{path}.position_bias"] = NO_POSITIONS
    undefined[f"{path}.length_bias"] = NO_LENGTHS
    undefined[f"{path}.gold"] = NO_GOLD
    share = {"comparable": 0, "value": None, "ci": None}
    return {
        "position_bias": {"slope": None, "ci": None, "n": 0},
        "length_bias": {"longer_wins": 0, **share},
        "gold": {"agree": 0, **share},
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


def _matrix(evidence: Evidence) -> list[Document]:
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
