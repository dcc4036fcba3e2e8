"""The simulator does what it says: its rankings have the truth that is claimed."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from ranking.agreement import report
from ranking.weeks import iso_weeks
from tests.simulated_labelers import (
    Labeler,
    Setting,
    Simulation,
    expected_agreement,
    noise_for,
    simulate,
)

ALICE, BOB = Labeler(name="alice", noise=0.5), Labeler(name="bob", noise=1.0)


def setting(*labelers: Labeler, **fields: Any) -> Setting:
    return Setting(**{"prompts": 2000, "labelers": labelers or (ALICE, BOB), **fields})


def report_of(simulation: Simulation) -> dict[str, Any]:
    return report(
        simulation.tables(), labelers=simulation.names, project="sim", filters={}
    )


def detail(simulation: Simulation, name: str) -> dict[str, Any]:
    rows = {r["labeler"]: r for r in report_of(simulation)["labelers_detail"]}
    row: dict[str, Any] = rows[name]
    return row


def test_one_seed_is_one_simulation() -> None:
    small = setting(prompts=30, ks=(4, 6), repeat_share=0.2, tags={"law": 0.5})
    first, again, other = (simulate(small, seed=seed) for seed in (5, 5, 6))
    for field in fields(Simulation):
        one, two = getattr(first, field.name), getattr(again, field.name)
        np.testing.assert_equal(one, two)
    assert not np.array_equal(first.ranks, other.ranks)


@pytest.mark.parametrize("agreement", [0.55, 0.726, 0.95])
def test_two_labelers_agree_as_often_as_their_noise_says(agreement: float) -> None:
    noise = noise_for(agreement)
    pair = replace(ALICE, noise=noise), replace(BOB, noise=noise)
    assert expected_agreement(*pair) == pytest.approx(agreement)
    low, high = report_of(simulate(setting(*pair)))["strict"]["ci"]
    assert low < agreement < high
    assert high - low < 0.04


def test_unequal_labelers_and_hard_prompts_agree_as_the_closed_form_says() -> None:
    halves = [expected_agreement(ALICE, BOB, contrast=c) for c in (0.3, 2.0)]
    low, high = report_of(simulate(setting(contrasts=(0.3, 2.0))))["strict"]["ci"]
    assert low < sum(halves) / 2 < high
    assert halves[1] - halves[0] > 0.25


def test_nobody_ties_without_a_tie_width_and_everything_is_tied_with_a_huge_one() -> (
    None
):
    for width, rate in ((0.0, 0), (1e9, 1)):
        simulation = simulate(setting(replace(ALICE, tie_width=width), prompts=50))
        assert detail(simulation, "alice")["tie_rate"] == rate


def test_the_habits_of_a_labeler_are_found_and_nobody_elses() -> None:
    carried_away = replace(ALICE, position_bias=0.8, length_bias=0.5)
    simulation = simulate(setting(carried_away, replace(BOB, length_bias=-0.5)))
    hers, his = detail(simulation, "alice"), detail(simulation, "bob")
    assert hers["position_bias"]["ci"][0] > 0.1
    assert his["position_bias"]["ci"][0] < 0 < his["position_bias"]["ci"][1]
    assert hers["length_bias"]["ci"][0] > 0.6
    assert his["length_bias"]["ci"][1] < 0.45


def test_a_careless_labeler_agrees_by_chance() -> None:
    low, high = report_of(simulate(setting(replace(ALICE, careless=1.0), BOB)))[
        "strict"
    ]["ci"]
    assert low < 0.5 < high


def test_repeats_agree_with_oneself_as_two_labelers_of_that_noise_would() -> None:
    simulation = simulate(setting(ALICE, repeat_share=1.0))
    own = detail(simulation, "alice")["self_consistency"]
    assert own["ci"][0] < expected_agreement(ALICE, ALICE) < own["ci"][1]
    first, again = (simulation.repeat == 0), (simulation.repeat == 1)
    when = np.zeros(simulation.setting.prompts, simulation.submitted_at.dtype)
    when[simulation.prompt[first]] = simulation.submitted_at[first]
    assert (simulation.submitted_at[again] > when[simulation.prompt[again]]).all()


def test_tired_and_drifting_labelers_get_worse() -> None:
    tiring = replace(ALICE, noise=0.1, tiring=0.1)
    drifting = replace(BOB, noise=0.1, drift=1.0)
    simulation = simulate(setting(tiring, drifting, sitting=20))
    right = rightly_ordered(simulation)
    hers, his = (simulation.labeler == number for number in (0, 1))
    fresh = simulation.sitting_place < 3
    assert right[hers & fresh].mean() > right[hers & ~fresh].mean() + 0.1
    first_week = iso_weeks(simulation.submitted_at) == iso_weeks(
        simulation.submitted_at.min()[None]
    )
    assert right[his & first_week].mean() > right[his & ~first_week].mean() + 0.1


def rightly_ordered(simulation: Simulation) -> Any:
    """Share of each ranking's pairs that are ordered as their worth is."""
    worth = simulation.worth[simulation.prompt]
    first, second = np.triu_indices(worth.shape[1], 1)
    truth = np.sign(worth[:, second] - worth[:, first])
    said = np.sign(simulation.ranks[:, first] - simulation.ranks[:, second])
    return (truth == said).mean(axis=1)


def test_each_prompt_has_its_overlap_of_different_labelers() -> None:
    four = tuple(replace(ALICE, name=name) for name in "abcd")
    simulation = simulate(setting(*four, overlap=2, prompts=200))
    who = [set(simulation.labeler[simulation.prompt == p].tolist()) for p in range(200)]
    assert {len(labelers) for labelers in who} == {2}
    assert len({frozenset(labelers) for labelers in who}) == 6


def test_sizes_tags_and_versions_are_as_ordered() -> None:
    simulation = simulate(
        setting(ks=(4, 9), tags={"law": 0.25}, prompts=1000, days_per_version=5)
    )
    assert set(simulation.k.tolist()) == {4, 9}
    assert 200 < sum("law" in tags for tags in simulation.tags) < 300
    assert set(simulation.version.tolist()) == {1, 2, 3, 4, 5}
    small = simulation.k[simulation.prompt] == 4
    assert (simulation.ranks[small][:, 4:] == 0).all()
    assert np.isnan(simulation.worth[simulation.k == 4][:, 4:]).all()
    for row in simulation.ranks:
        tiers = set(row[row > 0].tolist())
        assert tiers == set(range(1, len(tiers) + 1))


def test_people_work_on_workdays_from_nine_and_one_ranking_at_a_time() -> None:
    simulation = simulate(setting(ALICE, prompts=500))
    moments = [datetime.fromisoformat(str(m)) for m in simulation.submitted_at]
    assert moments == sorted(moments)
    assert {moment.weekday() for moment in moments} == {0, 1, 2, 3, 4}
    assert {moment.hour for moment in moments} <= set(range(9, 18))
    calendars = [moment.replace(tzinfo=UTC).isocalendar() for moment in moments]
    weeks = [calendar.year * 100 + calendar.week for calendar in calendars]
    assert iso_weeks(simulation.submitted_at).tolist() == weeks


def test_the_weeks_around_new_year_belong_to_the_year_of_their_thursday() -> None:
    days = np.array(["2025-12-28", "2025-12-29", "2027-01-03", "2027-01-04"])
    weeks = iso_weeks(days.astype("datetime64[s]")).tolist()
    assert weeks == [202552, 202601, 202653, 202701]


def test_rankings_one_by_one_say_what_the_arrays_say() -> None:
    simulation = simulate(setting(prompts=40, ks=(4, 5), repeat_share=0.1))
    by_name = {r["labeler"]: r for r in report_of(simulation)["labelers_detail"]}
    rows = simulation.rows()
    assert len(rows) == len(simulation.prompt)
    for name in simulation.names:
        own = [row for row in rows if row.labeler == name and not row.repeat]
        assert len(own) == by_name[name]["rankings"]
        median = float(np.median([row.seconds for row in own]))
        assert median == by_name[name]["median_seconds"]
    for row in rows[:20]:
        assert sorted(row.shown) == sorted(row.ranks) == sorted(row.lengths)
