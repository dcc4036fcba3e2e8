"""A stored simulation is a project like any other, and gives the same report."""

from typing import Any

import pytest

from annotation.models import Assignment, Project
from ranking import agreement
from ranking.dashboards import agreement_report
from ranking.filters import Filters
from ranking.models import Ranking
from tests.simulated_labelers import Labeler, Setting, simulate
from tests.stored_simulation import store

pytestmark = pytest.mark.django_db

SETTING = Setting(
    prompts=40,
    labelers=tuple(Labeler(name=name, tie_width=0.2) for name in ("ann", "ben", "cy")),
    overlap=2,
    ks=(4, 6, 9),
    tags={"law": 0.4, "poems": 0.3},
    repeat_share=0.2,
    sitting=15,
    days_per_version=1,
)


def without_project(report: dict[str, Any]) -> dict[str, Any]:
    report.pop("project")
    report.pop("filters")
    return report


def test_the_database_gives_the_report_of_the_arrays(project: Project) -> None:
    """Ranks, ties, places on the page, lengths, times, weeks, versions and tags."""
    simulation = simulate(SETTING, seed=4)
    store(project, simulation)
    from_arrays = agreement.report(
        simulation.tables(),
        labelers=simulation.names,
        project="",
        filters={},
        tags=simulation.prompts_by_tag(),
    )
    from_rows = agreement_report(project, Filters(pool="random"))
    assert without_project(from_rows) == without_project(from_arrays)
    assert len(from_rows["by_version"]) > 1
    assert {row["tag"] for row in from_rows["by_tag"]} == {"law", "poems"}


def test_every_ranking_has_a_completed_assignment_of_its_labeler(
    project: Project,
) -> None:
    simulation = simulate(SETTING, seed=5)
    labelers = store(project, simulation)
    assert [labeler.name for labeler in labelers] == simulation.names
    done = Assignment.objects.filter(project=project, state="completed")
    assert done.count() == Ranking.objects.count() == len(simulation.prompt)
    assert done.filter(source="queue", repeat=0).count() == 80
    assert done.filter(source="direct").count() == simulation.repeat.sum()
    assert set(done.filter(source="queue").values_list("slot", flat=True)) == {0, 1}


def test_two_simulations_live_side_by_side(project: Project) -> None:
    other = Project.objects.create(slug="other", title="Other")
    for one, seed in ((project, 1), (other, 2)):
        store(one, simulate(SETTING, seed=seed))
    both = [agreement_report(one, Filters(pool="random")) for one in (project, other)]
    assert [report["prompts"] for report in both] == [40, 40]
    assert both[0]["strict"] != both[1]["strict"]
