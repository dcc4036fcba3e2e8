"""The dashboards of a project at work: what they show, to whom, what that costs."""

from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.models import Membership, Project, Prompt, Qualification
from annotation.queue import reject_prompt
from ranking.summaries import lock_and_summarize
from tests.conftest import make_project
from tests.simulated_labelers import Labeler, Setting, simulate
from tests.stored_simulation import store

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]
PAGES = ("", "agreement/", "habits/", "disagreement/")
MOST_STATEMENTS = 15


@pytest.fixture(scope="module")
def worked_once(stored_for_this_file: None) -> list[Membership]:
    """Three labelers have ranked sixty prompts; one of them has a dollar for a name."""
    project = make_project()
    setting = Setting(
        prompts=60,
        labelers=(Labeler(name="$x^"), Labeler(name="yu"), Labeler(name="zoe")),
        ks=(4, 9),
        tags={"code": 0.5, "=law": 0.2},
        days_per_version=1,
        sitting=20,
    )
    labelers = store(project, simulate(setting, seed=5))
    prompts = Prompt.objects.filter(project=project)
    lock_and_summarize(prompts.values_list("pk", flat=True))
    return labelers


@pytest.fixture
def worked(worked_once: list[Membership], db: None) -> list[Membership]:
    return worked_once


@pytest.fixture
def project(worked: list[Membership]) -> Project:
    """The cast is theirs."""
    return worked[0].project


@pytest.mark.parametrize("page", PAGES)
def test_a_page_takes_at_most_fifteen_statements(
    admin: Membership,
    worked: list[Membership],
    signed_in: SignedIn,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    page: str,
) -> None:
    browser = signed_in(admin)
    with django_assert_max_num_queries(MOST_STATEMENTS):
        assert browser.get(f"/p/tides/dashboard/{page}").status_code == 200


def pictures_on(text: str) -> Iterator[str]:
    for part in text.split('srcset="')[1:] + text.split('<img src="')[1:]:
        yield part.split('"')[0].replace("&amp;", "&")


@pytest.mark.parametrize("page", PAGES[:3])
def test_every_picture_of_a_page_is_drawn_and_has_its_rows_as_csv(
    admin: Membership, worked: list[Membership], signed_in: SignedIn, page: str
) -> None:
    browser = signed_in(admin)
    text = browser.get(f"/p/tides/dashboard/{page}?tag=code").content.decode()
    addresses = list(pictures_on(text))
    assert addresses
    for address in addresses:
        assert address.endswith("?tag=code")
        drawn = browser.get(address)
        assert drawn["Content-Type"] == "image/svg+xml"
        again = browser.get(address, headers={"If-None-Match": drawn["ETag"]})
        assert again.status_code == 304
        name = address.split("/dashboard/")[1].split("/")[0]
        table = browser.get(f"/p/tides/dashboard/{name}.csv?tag=code")
        assert len(table.content.decode().splitlines()) > 1


@pytest.mark.parametrize("query", ["", "?tag=code&k=9&labeler=yu&labeler=zoe"])
def test_numbers_are_those_of_the_full_report(
    admin: Membership, worked: list[Membership], signed_in: SignedIn, query: str
) -> None:
    browser = signed_in(admin)
    page = browser.get(f"/p/tides/dashboard/agreement/{query}").context
    report = browser.get(f"/p/tides/agreement/{query}").context["report"]
    headline, ties = page["headline"], page["tie_rate"]
    assert headline.value == report["strict"]["value"]
    assert headline.interval == pytest.approx(report["strict"]["ci"])
    assert ties.value == report["tie_rate"]
    assert ties.interval == pytest.approx(report["intervals"]["tie_rate"])
    assert page["band"][0] == report["strict"]["value"]
    pictures = {picture.name: picture.rows for picture in page["pictures"]}
    for name, of_report in (
        ("agreement-by-week", "by_week"),
        ("agreement-by-k", "by_k"),
        ("agreement-by-distance", "by_rank_distance"),
        ("agreement-by-tag", "by_tag"),
        ("agreement-by-version", "by_version"),
    ):
        rows = [(row.part, row.whole) for row in pictures[name]]
        expected = report[of_report]
        assert rows == [(row["agree"], row["comparable"]) for row in expected]
        assert [row.value for row in pictures[name]] == [r["value"] for r in expected]
    people = {row["labeler"]: row["vs_others"] for row in report["labelers_detail"]}
    for one in page["people"]:
        assert (one.part, one.whole) == (
            people[one.label]["agree"],
            people[one.label]["comparable"],
        )
    cells = {
        (row.labeler.label, page["people"][column].label): cell.cell
        for row in page["heat"]
        for column, cell in enumerate(row.cells)
        if cell
    }
    assert len(cells) == 2 * len(report["matrix"])
    for row in report["matrix"]:
        for pair in ((row["a"], row["b"]), (row["b"], row["a"])):
            assert cells[pair].agree == row["agree"]
            assert cells[pair].comparable == row["comparable"]


def test_a_researcher_reads_pseudonyms(
    researcher: Membership, worked: list[Membership], signed_in: SignedIn
) -> None:
    browser = signed_in(researcher)
    split = browser.get("/p/tides/dashboard/disagreement/").context["rows"][0][1]
    paths = [
        "agreement/",
        "habits/",
        "ties-by-labeler.csv",
        f"../prompts/{split.pk}/consensus/",
    ]
    for path in paths:
        address = urljoin("/p/tides/dashboard/", path)
        text = browser.get(address).content.decode()
        assert worked[0].project.pseudonym(worked[1].pk) in text
        assert "zoe" not in text
    overview = browser.get("/p/tides/dashboard/").content.decode()
    assert "/signals/" not in overview
    assert "/reports/" not in overview


def test_a_prompt_that_was_taken_out_counts_no_more(
    admin: Membership, worked: list[Membership], signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    before = browser.get("/p/tides/dashboard/").context
    [prompt] = Prompt.objects.filter(external_id="s7")
    reject_prompt(prompt, reason="bad")
    after = browser.get("/p/tides/dashboard/").context
    assert after["rankings"] == before["rankings"] - 3
    assert after["headline"].prompts == before["headline"].prompts - 1
    assert after["work"].rejected == 1


def test_cells_of_a_csv_are_no_formulas(
    admin: Membership, worked: list[Membership], signed_in: SignedIn
) -> None:
    answer = signed_in(admin).get("/p/tides/dashboard/agreement-by-tag.csv")
    assert "\n'=law," in answer.content.decode().replace("\r", "")


def test_the_queue_leads_to_who_ranked_what_side_by_side(
    admin: Membership, worked: list[Membership], signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    queue = browser.get("/p/tides/dashboard/disagreement/")
    listed = queue.context["rows"]
    lows = [split.interval[0] for split, _ in listed]
    assert lows == sorted(lows, reverse=True)
    address = f"/p/tides/prompts/{listed[0][1].pk}/consensus/"
    assert f'<a href="{address}">' in queue.content.decode()
    page = browser.get(address)
    voters, placed = page.context["voters"], page.context["consensus"].placed
    assert [name for name, _ in voters] == ["$x^", "yu", "zoe"]
    for column, (_, ranking) in enumerate(voters):
        ranks = {one.response.pk: one.ranks[column] for one in placed}
        assert ranks == dict(ranking.placements.values_list("response", "rank"))


def test_only_a_test_keeps_anybody_waiting(
    admin: Membership, worked: list[Membership], signed_in: SignedIn
) -> None:
    """Where there is none, whoever has not taken it works all the same."""
    Membership.objects.filter(pk__in=[worked[0].pk, worked[1].pk]).update(
        qualification=Qualification.PENDING, qualification_decided_at=None
    )
    Membership.objects.filter(pk=worked[2].pk).update(
        qualification=Qualification.FAILED
    )
    browser = signed_in(admin)
    without = browser.get("/p/tides/dashboard/").context["work"]
    Project.objects.filter(pk=admin.project_id).update(qualification_threshold=0.7)
    tested = browser.get("/p/tides/dashboard/").context["work"]
    assert (without.pending, without.labelers) == (0, 2)
    assert (tested.pending, tested.labelers) == (2, 2)
