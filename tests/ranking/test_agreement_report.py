"""The agreement report of a project, from imported files to command and page."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.models import AssignmentSource, Membership, Project, Purpose, Role
from ranking import dashboards
from ranking.imports import import_rankings
from tests.conftest import make_prompt
from tests.pandalm import pandalm_files
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]


def report_of(slug: str, *options: str) -> dict[str, Any]:
    printed = io.StringIO()
    call_command("agreement", slug, "--json", *options, stdout=printed)
    report: dict[str, Any] = json.loads(printed.getvalue())
    return report


@pytest.fixture
def pandalm(project: Project, tmp_path: Path) -> tuple[Path, Path]:
    """The project with PandaLM's prompts and rankings, and the two files."""
    prompts, rankings = pandalm_files(tmp_path)
    call_command("import_prompts", project.slug, str(prompts), stdout=io.StringIO())
    call_command("import_rankings", project.slug, str(rankings), stdout=io.StringIO())
    return prompts, rankings


def headline(report: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on how ranks were written or how often they came."""
    kept = dict(report)
    kept.pop("project")
    return kept


def test_real_rankings_give_exactly_the_known_counts(
    project: Project, pandalm: tuple[Path, Path]
) -> None:
    report = report_of(project.slug)
    assert (report["rankings"], report["labelers"], report["prompts"]) == (98, 3, 35)
    assert report["prompts_with_overlap"] == 35
    assert (report["pairs"], report["ties"]) == (748, 128)
    strict, half, three = (
        report[name] for name in ("strict", "half_credit", "three_way")
    )
    assert (strict["agree"], strict["comparable"]) == (518, 566)
    assert (half["credit"], half["comparable"]) == (632, 686)
    assert (three["agree"], three["comparable"]) == (626, 686)
    assert report["kappa"] == pytest.approx(0.8605, abs=5e-5)
    assert report["alpha"] == pytest.approx(0.8552, abs=5e-5)
    assert report["kendall_tau_b"] == pytest.approx(0.8319, abs=5e-5)
    assert report["kendall_w"] == pytest.approx(0.9208, abs=5e-5)
    assert report["n"]["tau_pairs"] == 85
    assert report["n"]["tau_undefined"] == 6
    assert report["n"]["w_prompts"] == 33
    low, high = strict["ci"]
    assert low == pytest.approx(0.868, abs=0.015)
    assert high == pytest.approx(0.958, abs=0.015)


def test_real_rankings_by_k_and_by_labelers(
    project: Project, pandalm: tuple[Path, Path]
) -> None:
    report = report_of(project.slug)
    by_k = {row["k"]: (row["agree"], row["comparable"]) for row in report["by_k"]}
    assert by_k == {4: (271, 299), 5: (247, 267)}
    matrix = {
        (cell["a"], cell["b"]): (cell["agree"], cell["comparable"])
        for cell in report["matrix"]
    }
    assert matrix == {
        ("annotator1", "annotator2"): (166, 185),
        ("annotator1", "annotator3"): (178, 190),
        ("annotator2", "annotator3"): (174, 191),
    }
    rankings = {row["labeler"]: row["rankings"] for row in report["labelers_detail"]}
    assert rankings == {"annotator1": 32, "annotator2": 33, "annotator3": 33}


def test_importing_twice_or_with_stretched_ranks_changes_no_number(
    project: Project, pandalm: tuple[Path, Path], tmp_path: Path
) -> None:
    prompts, rankings = pandalm
    before = headline(report_of(project.slug))
    call_command("import_rankings", project.slug, str(rankings), stdout=io.StringIO())
    assert headline(report_of(project.slug)) == before

    rows = [json.loads(line) for line in rankings.read_text().splitlines()]
    for row in rows:
        row["ranks"] = {key: rank * 2 + 3 for key, rank in row["ranks"].items()}
    stretched = tmp_path / "stretched.jsonl"
    stretched.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = Project.objects.create(slug="stretched", title="Stretched")
    call_command("import_prompts", other.slug, str(prompts), stdout=io.StringIO())
    call_command("import_rankings", other.slug, str(stretched), stdout=io.StringIO())
    assert headline(report_of(other.slug)) == before


def test_a_labeler_filter_keeps_comparisons_between_the_named(
    project: Project, pandalm: tuple[Path, Path]
) -> None:
    chosen = ("--labeler", "annotator1", "--labeler", "annotator2")
    report = report_of(project.slug, *chosen)
    assert (report["strict"]["agree"], report["strict"]["comparable"]) == (166, 185)


def test_the_command_without_json_names_each_number(
    project: Project, pandalm: tuple[Path, Path]
) -> None:
    printed = io.StringIO()
    call_command("agreement", project.slug, stdout=printed)
    assert "91.5 %" in printed.getvalue()
    assert "566 comparisons" in printed.getvalue()


def test_an_unknown_project_or_filter_is_one_clear_line(project: Project) -> None:
    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("agreement", "nowhere")
    with pytest.raises(CommandError, match="no labeler 'nobody'"):
        call_command("agreement", project.slug, "--labeler", "nobody")


def test_the_report_of_an_empty_project_says_why_nothing_is_defined(
    project: Project,
) -> None:
    report = report_of(project.slug)
    assert report["strict"]["value"] is None
    assert report["undefined"]["strict"] == "no two labelers ranked the same prompt yet"


def test_the_page_shows_the_headline_in_few_queries(
    admin: Membership,
    pandalm: tuple[Path, Path],
    signed_in: SignIn,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    client = signed_in(admin)
    with django_assert_max_num_queries(9):
        page = client.get("/p/tides/agreement/").content.decode()
    assert "91.5 %" in page
    assert "518 of 566" in page
    assert "annotator1" in page


def test_researchers_read_pseudonyms_and_never_names(
    researcher: Membership, pandalm: tuple[Path, Path], signed_in: SignIn
) -> None:
    page = signed_in(researcher).get("/p/tides/agreement/").content.decode()
    assert "91.5 %" in page
    assert "annotator" not in page
    assert "L-" in page
    refused = signed_in(researcher).get("/p/tides/agreement/?labeler=annotator1")
    assert refused.status_code == 400


def test_labelers_of_one_name_are_told_apart_and_members_keep_theirs(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    prompt = make_prompt(project)
    ranks = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
    lines = [
        {"prompt_id": prompt.external_id, "labeler": name, "ranks": ranks}
        for name in ("alice", "alice (imported)")
    ]
    file = io.BytesIO("\n".join(map(json.dumps, lines)).encode())
    import_rankings(project, file)
    store_ranking(prompt, alice, ranks)
    detail = report_of(project.slug)["labelers_detail"]
    names = {"alice", "alice (imported)", "alice (imported 2)"}
    assert {row["labeler"] for row in detail} == names
    page = signed_in(admin).get("/p/tides/agreement/")
    assert page.status_code == 200
    by_name = {
        member.name: member.pk
        for member in project.membership_set.filter(user__isnull=True)
    }
    people = project.membership_set.filter(role=Role.LABELER).order_by("-pk")
    assert dashboards.distinct_names(people, lambda member: member.name) == {
        alice.pk: "alice",
        by_name["alice (imported)"]: "alice (imported)",
        by_name["alice"]: "alice (imported 2)",
    }


def test_colliding_pseudonyms_are_told_apart_in_one_order(
    project: Project, alice: Membership, bob: Membership
) -> None:
    imported = [
        Membership.objects.create(project=project, name=name, role=Role.LABELER)
        for name in ("vera", "walt")
    ]
    people = [alice, bob, *imported]
    expected = {
        alice.pk: "L-0",
        bob.pk: "L-0 (2)",
        imported[0].pk: "L-0 (imported)",
        imported[1].pk: "L-0 (imported 2)",
    }
    for order in (people, people[::-1]):
        assert dashboards.distinct_names(order, lambda member: "L-0") == expected


def test_a_filter_that_is_not_understood_keeps_the_page(
    admin: Membership, signed_in: SignIn
) -> None:
    answer = signed_in(admin).get("/p/tides/agreement/?since=yesterday%3Cb%3E")
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "is not a date" in page
    assert "<b>" not in page


def test_an_empty_project_says_when_agreement_appears(
    admin: Membership, signed_in: SignIn
) -> None:
    page = signed_in(admin).get("/p/tides/agreement/").content.decode()
    assert "No ranking has been counted yet." in page


def test_gold_counts_in_labelers_detail_and_nowhere_else(
    project: Project, alice: Membership, bob: Membership
) -> None:
    ranks = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
    for labeler in (alice, bob):
        store_ranking(make_prompt(project, f"{labeler.name}'s"), labeler, ranks)
    before = report_of(project.slug)
    # Five strict pairs each. Her ranks: all 5; then r1 last, which leaves 2; then one
    # tier for everything, which is right on none: 7 of 15.
    orders = (GOLD, {"r1": 4, "r2": 1, "r3": 2, "r4": 3}, dict.fromkeys(GOLD, 1))
    purposes = (Purpose.GOLD, Purpose.QUALIFICATION, Purpose.TRAINING)
    for purpose, order in zip(purposes, orders, strict=True):
        store_ranking(make_check(project, purpose, purpose), alice, order)
    report = report_of(project.slug)
    hers, his = report["labelers_detail"]
    assert (hers["gold"]["agree"], hers["gold"]["comparable"]) == (7, 15)
    assert hers["gold"]["value"] == 7 / 15
    low, high = hers["gold"]["ci"]
    assert (low, high) == (0.0, 1.0)  # of 27 draws of three, one is all of the worst
    assert his["gold"] == {"agree": 0, "comparable": 0, "value": None, "ci": None}
    assert report["undefined"]["labelers_detail.bob.gold"].startswith("no ranking")
    for detail in (*before["labelers_detail"], *report["labelers_detail"]):
        detail.pop("gold")
    before["undefined"].pop("labelers_detail.alice.gold")
    assert report == before
    since = report_of(project.slug, "--labeler", "bob")
    assert since["labelers_detail"][0]["gold"]["value"] is None


def test_a_labeler_of_gold_prompts_only_has_no_row(
    project: Project, alice: Membership
) -> None:
    store_ranking(make_check(project, Purpose.GOLD), alice, GOLD)
    report = report_of(project.slug)
    assert (report["rankings"], report["labelers_detail"]) == (0, [])


def test_repeats_count_in_self_consistency_only(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project)
    store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    again = {"repeat": 1, "source": AssignmentSource.DIRECT}
    # r3 and r4 change places: 5 of 6.
    store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 4, "r4": 3}, assignment=again)
    report = report_of(project.slug)
    [hers] = report["labelers_detail"]
    assert (report["rankings"], report["strict"]["comparable"]) == (1, 0)
    consistency = hers["self_consistency"]
    assert (consistency["agree"], consistency["comparable"]) == (5, 6)
