"""Do the 95 % intervals hold the truth in about 95 of 100 projects? With forty, of one
of the numbers, on each commit: `tests/ranking/test_intervals_hold.py`.

200 simulated projects of 100 prompts and the same three labelers each. The truth is the
population value of the simulator: what the report would say of infinitely many prompts
ranked by these three. For `strict` without ties it has a closed form; for everything
else one project of 20,000 prompts stands in, whose own error is a fourteenth of that of
100 prompts and so moves no coverage by a percentage point.
"""

from functools import cache
from typing import Any

import pytest

from ranking.agreement import headline
from tests.simulated_labelers import (
    Labeler,
    Setting,
    Simulation,
    expected_agreement,
    noise_for,
    simulate,
)

PROJECTS, PROMPTS = 200, 100
POPULATION = 20_000
AGREEMENTS = (0.55, 0.65, 0.75, 0.85, 0.95)
# Without their ties. Those take the hard pairs, so that `strict` is .56 to .94 then.
BEFORE_TIES = (0.55, 0.62, 0.70, 0.78, 0.86)
TIE_WIDTH = 0.25
SHARES = ("strict", "half_credit", "three_way")
COEFFICIENTS = ("tie_rate", "kappa", "alpha", "kendall_tau_b", "kendall_w")

Numbers = dict[str, Any]


def setting_of(agreement: float, *, prompts: int, tie_width: float) -> Setting:
    """Three labelers who, without ties, would agree so often; hard and easy prompts of
    several sizes when they tie."""
    three = tuple(
        Labeler(name=name, noise=noise_for(agreement), tie_width=tie_width)
        for name in ("ann", "ben", "cy")
    )
    if tie_width:
        return Setting(
            prompts=prompts, labelers=three, ks=(4, 5, 7), contrasts=(0.5, 1.0, 1.5)
        )
    return Setting(prompts=prompts, labelers=three)


def numbers_of(simulation: Simulation) -> Numbers:
    return headline(simulation.tables(), labelers=simulation.names)


def values(document: Numbers) -> Numbers:
    return {name: document[name]["value"] for name in SHARES} | {
        name: document[name] for name in COEFFICIENTS
    }


def intervals(document: Numbers) -> Numbers:
    shares = {name: document[name]["ci"] for name in SHARES}
    return {**shares, **document["intervals"]}


@cache
def truth(agreement: float) -> Numbers:
    """Of labelers who tie: the numbers of a project two hundred times as large."""
    population = setting_of(agreement, prompts=POPULATION, tie_width=TIE_WIDTH)
    return values(numbers_of(simulate(population, seed=1)))


def each_project(tie_width: float) -> list[tuple[float, Numbers]]:
    """The agreement that each of the 200 was made with, and its intervals."""
    agreements = BEFORE_TIES if tie_width else AGREEMENTS
    return [
        (agreement, intervals(numbers_of(simulate(setting, seed=1_000 + number))))
        for number in range(PROJECTS)
        for agreement in [agreements[number % len(agreements)]]
        for setting in [setting_of(agreement, prompts=PROMPTS, tie_width=tie_width)]
    ]


def share_that_holds(cases: list[tuple[float, list[float]]]) -> float:
    """Of (truth, interval), those where the one lies within the other."""
    return sum(low <= true <= high for true, (low, high) in cases) / len(cases)


def test_the_interval_of_strict_holds_the_closed_form() -> None:
    cases = []
    for agreement, found in each_project(tie_width=0):
        labeler = Labeler(name="any", noise=noise_for(agreement))
        cases.append((expected_agreement(labeler, labeler), found["strict"]))
    assert 0.90 <= share_that_holds(cases) <= 0.98
    # What is tested can fail: an interval half as wide holds it far less often.
    halved = [
        (true, [(3 * low + high) / 4, (low + 3 * high) / 4])
        for true, (low, high) in cases
    ]
    assert share_that_holds(halved) < 0.80


def test_every_interval_holds_the_population_value_where_people_tie() -> None:
    assert all(0.55 < truth(one)["strict"] < 0.95 for one in BEFORE_TIES)
    projects = each_project(tie_width=TIE_WIDTH)
    held = {
        name: share_that_holds(
            [(truth(agreement)[name], found[name]) for agreement, found in projects]
        )
        for name in (*SHARES, *COEFFICIENTS)
    }
    assert {
        name: share for name, share in held.items() if not 0.9 <= share <= 0.98
    } == {}


def test_the_population_does_not_depend_on_its_seed() -> None:
    other = setting_of(0.7, prompts=POPULATION, tie_width=TIE_WIDTH)
    found = values(numbers_of(simulate(other, seed=2)))
    assert found == pytest.approx(truth(0.7), abs=0.01)
