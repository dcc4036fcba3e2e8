"""The agreement report: every number of `agreement.md`, section 3, as one document.

Sums over all comparisons, then one division; 95 % percentile intervals of a
bootstrap over prompts. A number whose denominator is 0 is None, and `undefined`
says why: the key is the dotted path of the number or of the block it stands in,
with list rows named by what identifies them ("alpha", "intervals.alpha", "by_k.4",
"labelers_detail.alice.vs_others", "strict.ci" where only the interval is missing).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ranking.bootstrap import bootstrap_totals
from ranking.conventions import accuracy_band, kappa, krippendorff_alpha, ratio
from ranking.estimates import NO_PAIR, Document, Estimates, Number
from ranking.evidence import (
    ALPHA,
    POOL,
    TAU,
    TIES,
    Evidence,
    GoldScore,
    W,
    distinct,
    gather,
    gold_questions,
    pooled_questions,
    questions,
)
from ranking.labeler_detail import labelers_detail, matrix
from ranking.rank_table import FloatArray, RankTable

__all__ = ["RankTable", "accuracy_band", "headline", "report"]

NO_RANKING = "no ranking has been counted yet"
NO_OVERLAP = "no two labelers ranked the same prompt yet"
NO_UNIT = "no pair has two judgements"
ALL_TIED = "every pair is tied"
SAME_JUDGEMENT = "all judgements are the same"
TIED_ALL = "in every comparison one of the two rankings ties everything"
ALL_TIED_ALL = "every ranking of every prompt ties everything"
IN_THIS_SLICE = {
    "by_k": "no two labelers ranked the same prompt with this many responses",
    "by_rank_distance": "no two rankings are this far apart on a pair",
    "by_tag": "no two labelers ranked the same prompt with this tag",
    "by_version": "no two labelers ranked the same prompt under this version",
    "by_week": "no prompt was ranked by a second labeler in this week",
}


def report(  # noqa: PLR0913  by keyword only, each one a part of the evidence
    tables: Sequence[RankTable],
    *,
    labelers: Sequence[str],
    project: str,
    filters: Mapping[str, Any],
    tags: Mapping[str, Collection[int]] | None = None,
    gold: Iterable[GoldScore] = (),
) -> Document:
    """The report of `agreement.md`, section 3, ready for `json.dumps`.

    `tables` hold the rankings that all filters have left, one table per K;
    `labelers` the names that `RankTable.labeler` points into; `tags` the prompts
    of each tag by their `cluster`; `gold` the scores of rankings whose right order is
    known, which count in nothing else. `project` and `filters` are passed through. The
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
    tested, n_tests = gold_questions(evidence, gold, labelers=labelers)
    # Prompts of their own, so they are drawn by themselves.
    drawn = bootstrap_totals(tested, n_prompts=n_tests)
    estimates = Estimates(counts | tested, draws | drawn)
    return {
        "project": project,
        "filters": dict(filters),
        **_size(evidence),
        **_headline(evidence, estimates),
        "n": _numbers_behind(evidence, estimates),
        **_slices(evidence, estimates),
        "labelers_detail": list(labelers_detail(evidence, estimates)),
        "matrix": matrix(evidence),
        "undefined": estimates.undefined,
    }


def headline(tables: Sequence[RankTable], *, labelers: Sequence[str]) -> Document:
    """The numbers over all prompts alone, in the shape and with the draws of `report`:
    from "tie_rate" to "intervals", and "undefined".
    """
    evidence = gather(tables, labelers=labelers, tags={})
    counts = pooled_questions(evidence)
    draws = bootstrap_totals(counts, n_prompts=evidence.n_prompts)
    estimates = Estimates(counts, draws)
    numbers = _headline(evidence, estimates)
    return {**numbers, "undefined": estimates.undefined}


def _size(evidence: Evidence) -> Document:
    counted = evidence.counted
    return {
        "rankings": len(counted.prompt),
        "labelers": distinct(counted.labeler),
        "prompts": distinct(counted.prompt),
        "prompts_with_overlap": distinct(evidence.between.prompt),
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
            ("by_tag", "tag", set(evidence.tags)),
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
