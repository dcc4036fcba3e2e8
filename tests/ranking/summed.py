"""What the summary rows say, and what the pure statistics make of the rankings."""

from typing import Any

import numpy as np
from django.db import transaction

from annotation.models import Project, Prompt
from ranking.comparisons import compare
from ranking.filters import Filters, rankings_that_count
from ranking.judgements import judgements
from ranking.models import Placement, PromptSummary
from ranking.rank_table import canonical_rankings
from ranking.summaries import lock_and_summarize, tallies_of
from ranking.tallies import Tallies
from tests.ranking.judged import responses, whole_table

DISTANCES = 8
Rows = list[tuple[Any, ...]]


def summed(project: Project, **filters: Any) -> tuple[Rows, Rows]:
    """Rankings and comparisons as the summary rows have them, sorted."""
    found = tallies_of(project, Filters(**filters))
    return rankings_in(found), comparisons_in(found)


def rankings_in(found: Tallies) -> Rows:
    rows = found.judged
    prompts, k = found.prompts[rows.prompt], found.k[rows.prompt]
    return sorted(
        (
            int(prompts[n]),
            int(rows.labeler[n]),
            str(rows.submitted[n]),
            int(rows.version[n]),
            bool(rows.targeted[n]),
            rows.ranks[n, : k[n]].tolist(),
            rows.shown[n, : k[n]].tolist(),
            int(found.ties[n]),
        )
        for n in range(len(rows))
    )


def comparisons_in(found: Tallies) -> Rows:
    rows, tau = found.compared, found.tau_b
    labelers = found.judged.labeler
    prompts = found.prompts[found.compared_prompt]
    return sorted(
        (
            int(prompts[n]),
            *sorted((int(labelers[rows.first[n]]), int(labelers[rows.second[n]]))),
            int(found.version[n]),
            int(found.week[n]),
            rows.agree_at[n].tolist(),
            rows.differ_at[n].tolist(),
            int(rows.both_tied[n]),
            int(rows.one_tied[n]),
            repr(round(float(tau[n]), 9)),
        )
        for n in range(len(rows))
    )


def recomputed(project: Project, **filters: Any) -> tuple[Rows, Rows]:
    """The same from the rankings themselves, by another road."""
    rankings = rankings_that_count(project, Filters(**filters))
    return sorted(_rankings(rankings)), sorted(_comparisons(rankings))


def _rankings(rankings: Any) -> Rows:
    rows = []
    for ranking in rankings.select_related("assignment", "instructions"):
        placed = Placement.objects.filter(ranking=ranking)
        ranks = dict(placed.values_list("response__external_id", "rank"))
        in_order = [ranks[name] for name in sorted(ranks)]
        shown = ranking.assignment.display_order
        tied = sum(in_order.count(rank) - 1 for rank in in_order) // 2
        moment = ranking.submitted_at.replace(tzinfo=None)
        rows.append(
            (
                ranking.assignment.prompt_id,
                ranking.assignment.labeler_id,
                str(np.datetime64(moment, "us")),
                ranking.instructions.version if ranking.instructions else 0,
                ranking.assignment.pool == "targeted",
                in_order,
                [0] * len(in_order) if shown is None else [1 + at for at in shown],
                tied,
            )
        )
    return rows


def _comparisons(rankings: Any) -> Rows:
    found = judgements(rankings)
    if not found:
        return []
    labelers = np.unique(np.concatenate([rows.labeler for rows in found]))
    prompts = np.unique(np.concatenate([rows.prompt for rows in found]))
    known = responses(prompts)
    names = [f"{number:06}" for number in range(len(labelers))]
    compared = compare(
        [
            canonical_rankings(
                whole_table(rows, labelers, known[rows.k]),
                clusters=prompts,
                labelers=names,
            )
            for rows in found
        ]
    )
    return [
        (
            int(prompts[compared.prompt[n]]),
            *sorted(int(labelers[one[n]]) for one in (compared.first, compared.second)),
            int(compared.version[n]),
            int(compared.week[n]),
            _padded(compared.agree_at[n]),
            _padded(compared.differ_at[n]),
            int(compared.both_tied[n]),
            int(compared.one_tied[n]),
            repr(round(float(compared.tau_b[n]), 9)),
        )
        for n in range(len(compared))
    ]


def _padded(counts: Any) -> list[int]:
    padded: list[int] = counts.tolist() + [0] * (DISTANCES - len(counts))
    return padded


def assert_summaries_are_right(project: Project) -> None:
    """Every row is what its rankings make it, and no prompt has one for nothing.

    The sums leave out prompts that were taken out and labelers who are withdrawn, so
    the rows themselves are looked at too: these must be right when they count again.
    """
    assert summed(project) == recomputed(project)
    stored = rows_of(project)
    with transaction.atomic():
        prompts = Prompt.objects.filter(project=project)
        lock_and_summarize(prompts.values_list("pk", flat=True))
        assert stored == rows_of(project)
        transaction.set_rollback(True)
    assert not PromptSummary.objects.filter(worked=b"").exists()


def rows_of(project: Project) -> Rows:
    """The rows as they are stored."""
    rows = PromptSummary.objects.filter(project=project).order_by("pk")
    return [
        (*numbers, *map(bytes, records))
        for *numbers, records in (
            (*row[:4], row[4:])
            for row in rows.values_list(
                *("prompt", "k", "rankings", "newest_at"),
                *("judged", "compared", "worked", "sizes"),
            )
        )
    ]
