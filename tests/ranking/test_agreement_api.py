"""The agreement report over the API: the same numbers, and who may read them."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from knox.models import AuthToken

from annotation.models import Membership, Project
from ranking.agreement_schema import AgreementGiven
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/projects/tides/agreement"
OWN = f"{ADDRESS}/own"
RANKS = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
SignIn = Callable[[Membership], Client]


@pytest.fixture
def ranked(project: Project, alice: Membership, bob: Membership) -> Project:
    """Three prompts that alice and bob agree on but for one pair each."""
    for number in range(3):
        prompt = make_prompt(project, f"p{number}")
        store_ranking(prompt, alice, RANKS)
        store_ranking(prompt, bob, RANKS | {"r3": 4, "r4": 3})
    return project


def command(*options: str) -> dict[str, Any]:
    printed = io.StringIO()
    call_command("agreement", "tides", "--json", *options, stdout=printed)
    report: dict[str, Any] = json.loads(printed.getvalue())
    return report


def test_an_admin_reads_what_the_command_prints(
    ranked: Project, admin: Membership, signed_in: SignIn
) -> None:
    given = signed_in(admin).get(ADDRESS)
    assert given.json() == command()
    assert given.json()["strict"]["agree"] == 15
    assert [r["labeler"] for r in given.json()["labelers_detail"]] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("k=4&k=5", ("--k", "4", "--k", "5")),
        ("k=9", ("--k", "9")),
        ("pool=targeted", ("--pool", "targeted")),
        ("labeler=alice", ("--labeler", "alice")),
        ("without_labeler=bob", ("--without-labeler", "bob")),
        ("include=late,surplus", ("--include", "late,surplus")),
        ("tag=law&tag=x", ("--tag", "law", "--tag", "x")),
        ("since=2026-01-01&until=2031-01-01",
         ("--since", "2026-01-01", "--until", "2031-01-01")),
        ("instructions_version=1", ("--instructions-version", "1")),
    ],
)  # fmt: skip
def test_a_filter_means_the_same_as_on_the_command_line(
    ranked: Project,
    admin: Membership,
    signed_in: SignIn,
    query: str,
    options: tuple[str, ...],
) -> None:
    assert signed_in(admin).get(f"{ADDRESS}?{query}").json() == command(*options)


def test_a_filter_that_is_not_understood_is_refused_in_words(
    ranked: Project, admin: Membership, signed_in: SignIn
) -> None:
    refused = signed_in(admin).get(f"{ADDRESS}?pool=easy")
    assert refused.status_code == 422
    assert "pool: 'easy' is none of" in refused.json()["message"]


def test_a_researcher_reads_pseudonyms_and_cannot_ask_by_name(
    ranked: Project, researcher: Membership, alice: Membership, signed_in: SignIn
) -> None:
    program = signed_in(researcher)
    text = program.get(ADDRESS).content.decode()
    assert "alice" not in text
    assert "bob" not in text
    hers = ranked.pseudonym(alice.pk)
    assert hers in text
    assert program.get(f"{ADDRESS}?labeler=alice").status_code == 422
    only = program.get(f"{ADDRESS}?labeler={hers}").json()
    assert (only["labelers"], only["filters"]["labeler"]) == (1, [hers])


def test_a_labeler_reads_their_own_number_only_where_the_project_shows_it(
    ranked: Project, alice: Membership, signed_in: SignIn
) -> None:
    program = signed_in(alice)
    assert program.get(ADDRESS).status_code == 403
    assert program.get(OWN).status_code == 403
    Project.objects.update(labelers_see_agreement=True)
    assert program.get(ADDRESS).status_code == 403
    given = program.get(OWN).json()
    assert given["value"] is None
    assert "it takes" in given["why"]


def test_a_labeler_with_enough_prompts_reads_a_number_and_nobodys_name(
    ranked: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    for number in range(10, 30):
        prompt = make_prompt(ranked, f"p{number}")
        for labeler in (alice, bob):
            store_ranking(prompt, labeler, RANKS)
    Project.objects.update(labelers_see_agreement=True, editable_minutes=0)
    answer = signed_in(alice).get(OWN)
    given = answer.json()
    # 20 prompts of 6 alike, 3 of 5 alike.
    assert (given["value"], given["comparable"]) == (135 / 138, 138)
    assert (given["prompts"], given["why"]) == (23, "")
    low, high = given["ci"]
    assert low < given["value"] <= high
    assert "bob" not in answer.content.decode()


def test_a_token_reads_it_too(ranked: Project, admin: Membership) -> None:
    _, token = AuthToken.objects.create(user=admin.user)
    program = Client(headers={"Authorization": f"Token {token}"})
    assert program.get(ADDRESS).json()["strict"]["comparable"] == 18


def test_the_answer_has_exactly_the_keys_of_the_schema(
    ranked: Project, admin: Membership, signed_in: SignIn
) -> None:
    given = signed_in(admin).get(ADDRESS).json()
    check_keys(AgreementGiven(), given)


def check_keys(described: Any, given: Any) -> None:
    """Every key is described, and every described key is there."""
    fields = getattr(getattr(described, "child", described), "fields", None)
    for one in given if isinstance(given, list) else [given]:
        if fields is not None and isinstance(one, dict):
            assert set(fields) == set(one), type(described).__name__
            for name, field in fields.items():
                check_keys(field, one[name])
