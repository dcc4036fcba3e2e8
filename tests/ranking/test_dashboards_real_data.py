"""The dashboards' sums reproduce the known counts of real rankings, too: SQL makes them
when a ranking is stored, and not the statistics of the report."""

from pathlib import Path

import numpy as np
import pytest

from annotation.models import Membership, Project
from ranking.bootstrap import PromptCounts
from ranking.cluster_intervals import linearised
from ranking.dashboard_numbers import (
    Estimate,
    by_k,
    by_rank_distance,
    matrix,
    strict,
    tie_rate,
    tie_rates,
)
from ranking.evidence import POOL, gather, pooled_questions
from ranking.filters import Filters
from ranking.summaries import tallies_of
from ranking.tallies import Tallies
from tests.chaos.test_interval_coverage import (
    AGREEMENTS,
    PROJECTS,
    PROMPTS,
    setting_of,
    share_that_holds,
)
from tests.ranking.test_agreement_report import pandalm
from tests.simulated_labelers import Labeler, expected_agreement, noise_for, simulate

__all__ = ["pandalm"]


@pytest.fixture
def sums(project: Project, pandalm: tuple[Path, Path]) -> Tallies:
    """Of PandaLM's 98 rankings."""
    return tallies_of(project, Filters(pool="random"))


def names_of(project: Project) -> dict[int, str]:
    people = Membership.objects.filter(project=project)
    return dict(people.values_list("pk", "name"))


def shares(found: list[Estimate]) -> dict[str, tuple[float, float]]:
    return {one.label: (one.part, one.whole) for one in found}


@pytest.mark.django_db
def test_pandalm_gives_the_known_headline(sums: Tallies) -> None:
    assert (len(sums.judged), len(sums.prompts)) == (98, 35)
    rows = sums.compared
    assert [int(n.sum()) for n in (rows.agree, rows.differ)] == [518, 48]
    assert [int(n.sum()) for n in (rows.both_tied, rows.one_tied)] == [108, 12]
    assert shares([strict(sums)]) == {"strict": (518, 566)}
    assert shares([tie_rate(sums)]) == {"tie rate": (128, 748)}
    assert shares(by_k(sums)) == {"K = 4": (271, 299), "K = 5": (247, 267)}
    # Each comparison of a pair is counted once, so the rows sum to the headline.
    by_distance = np.array(list(shares(by_rank_distance(sums)).values()))
    assert by_distance.sum(axis=0).tolist() == [518, 566]


@pytest.mark.django_db
def test_pandalm_gives_the_known_labelers(project: Project, sums: Tallies) -> None:
    names = names_of(project)
    assert shares(tie_rates(sums, names)) == {
        "annotator1": (38, 244),
        "annotator2": (50, 254),
        "annotator3": (40, 250),
    }
    order = sorted(names, key=lambda pk: names[pk])
    cells = [
        [cell and (cell.agree, cell.comparable) for cell in row]
        for row in matrix(sums, order)
    ]
    assert cells == [
        [None, (166, 185), (178, 190)],
        [(166, 185), None, (174, 191)],
        [(178, 190), (174, 191), None],
    ]


@pytest.mark.django_db
def test_pandalm_s_ties_give_the_known_tau(sums: Tallies) -> None:
    defined = sums.tau_b[~np.isnan(sums.tau_b)]
    assert (len(defined), len(sums.tau_b) - len(defined)) == (85, 6)
    assert round(float(defined.mean()), 4) == 0.8319


def test_the_quick_interval_of_a_large_project_holds_the_truth_as_often() -> None:
    """The one that pages show beyond a thousand prompts, on the 200 simulated projects
    that the report's interval is tested on."""
    cases = []
    for number in range(PROJECTS):
        agreement = AGREEMENTS[number % len(AGREEMENTS)]
        setting = setting_of(agreement, prompts=PROMPTS, tie_width=0)
        simulation = simulate(setting, seed=1_000 + number)
        evidence = gather(simulation.tables(), labelers=simulation.names, tags={})
        pool = pooled_questions(evidence)[POOL]
        agree, differ = pool.counts[:2]
        found = linearised(
            PromptCounts(pool.prompts, np.array([agree, agree + differ]))
        )
        assert found is not None
        labeler = Labeler(name="any", noise=noise_for(agreement))
        cases.append((expected_agreement(labeler, labeler), found))
    assert 0.90 <= share_that_holds(cases) <= 0.98
