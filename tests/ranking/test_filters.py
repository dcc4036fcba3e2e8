"""Which rankings count, and which of them a filter keeps."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management.base import CommandParser
from django.http import QueryDict

from annotation.models import (
    Instructions,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Role,
)
from ranking.filter_words import (
    add_filter_arguments,
    filters_from_options,
    filters_from_query,
)
from ranking.filters import Filters, InvalidFilter, rankings_that_count
from ranking.models import RankingStatus
from tests.conftest import make_prompt
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


def typed(project: Project, *words: str, pool: str = "all") -> Filters:
    """The filters of a command line."""
    parser = CommandParser()
    add_filter_arguments(parser, pool=pool)
    return filters_from_options(project, vars(parser.parse_args(words)), pool=pool)


def kept(project: Project, filters: Filters | None = None) -> set[int]:
    rows = rankings_that_count(project, filters or Filters())
    return set(rows.values_list("pk", flat=True))


@pytest.fixture
def prompt(project: Project) -> Prompt:
    return make_prompt(project)


def test_a_counted_ranking_counts_and_so_does_one_of_the_targeted_pool(
    project: Project, prompt: Prompt, alice: Membership, bob: Membership
) -> None:
    plain = store_ranking(prompt, alice, RANKS)
    extra = store_ranking(prompt, bob, RANKS, assignment={"pool": "targeted"})
    assert kept(project) == {plain.pk, extra.pk}
    assert kept(project, Filters(pool="random")) == {plain.pk}
    assert kept(project, Filters(pool="targeted")) == {extra.pk}


def test_a_superseded_revision_does_not_count(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    first = store_ranking(prompt, alice, RANKS)
    second = revise(first, RANKS | {"r1": 4, "r2": 1})
    third = revise(second, {"r1": 1, "r2": 1, "r3": 1, "r4": 1})
    assert kept(project) == {third.pk}


def test_a_repeat_by_the_same_labeler_does_not_count(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    first = store_ranking(prompt, alice, RANKS)
    store_ranking(prompt, alice, RANKS, assignment={"repeat": 1})
    assert kept(project) == {first.pk}


@pytest.mark.parametrize("purpose", ["gold", "training", "qualification"])
def test_only_work_counts(
    project: Project, prompt: Prompt, alice: Membership, purpose: str
) -> None:
    Prompt.objects.filter(pk=prompt.pk).update(purpose=purpose)
    store_ranking(prompt, alice, RANKS)
    assert kept(project) == set()


def test_a_prompt_taken_out_does_not_count_until_it_is_put_back(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    ranking = store_ranking(prompt, alice, RANKS)
    rejection = PromptRejection.objects.create(prompt=prompt, reason="bad")
    assert kept(project) == set()
    rejection.delete()
    assert kept(project) == {ranking.pk}


def test_late_and_surplus_rankings_count_when_included_by_name(
    project: Project, prompt: Prompt, alice: Membership, bob: Membership
) -> None:
    late = store_ranking(prompt, alice, RANKS, status=RankingStatus.LATE)
    surplus = store_ranking(prompt, bob, RANKS, status=RankingStatus.SURPLUS)
    assert kept(project) == set()
    assert kept(project, typed(project, "--include", "late")) == {late.pk}
    both = {late.pk, surplus.pk}
    assert kept(project, typed(project, "--include", "late,surplus")) == both
    twice = typed(project, "--include", "surplus", "--include", "late")
    assert kept(project, twice) == both


def test_since_is_inclusive_and_until_is_exclusive(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    ranking = store_ranking(prompt, alice, RANKS, submitted_at=noon)
    assert kept(project, typed(project, "--since", "2026-11-20T12:00")) == {ranking.pk}
    assert kept(project, typed(project, "--until", "2026-11-20T12:00")) == set()
    later = typed(project, "--until", "2026-11-20T13:00:01+01:00")
    assert kept(project, later) == {ranking.pk}
    assert kept(project, typed(project, "--since", "2026-11-21")) == set()


def test_labelers_go_by_name_or_pseudonym_and_mean_the_same_choice(
    project: Project, prompt: Prompt, alice: Membership, bob: Membership
) -> None:
    hers = store_ranking(prompt, alice, RANKS)
    his = store_ranking(prompt, bob, RANKS)
    by_name = typed(project, "--labeler", "alice")
    by_pseudonym = typed(project, "--labeler", project.pseudonym(alice.pk))
    assert by_name == by_pseudonym
    assert kept(project, by_name) == {hers.pk}
    assert kept(project, typed(project, "--without-labeler", "alice")) == {his.pk}
    both = typed(project, "--labeler", "alice", "--labeler", "bob")
    assert kept(project, both) == {hers.pk, his.pk}
    assert by_name.as_json(project)["labeler"] == [project.pseudonym(alice.pk)]


def test_a_name_means_the_member_and_the_imported_labeler_of_that_name(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    imported = Membership.objects.create(
        project=project, name="alice", role=Role.LABELER
    )
    rankings = {store_ranking(prompt, who, RANKS).pk for who in (alice, imported)}
    assert kept(project, typed(project, "--labeler", "alice")) == rankings


def test_a_reader_who_may_not_know_who_is_who_cannot_ask_by_name(
    project: Project, alice: Membership
) -> None:
    with pytest.raises(InvalidFilter, match="no labeler 'alice' in the project tides"):
        filters_from_query(project, QueryDict("labeler=alice"))
    query = QueryDict(f"labeler={project.pseudonym(alice.pk)}&page=3")
    assert filters_from_query(project, query).labelers == {alice.pk}


def test_prompts_are_chosen_by_size_and_by_any_of_several_tags(
    project: Project, alice: Membership
) -> None:
    four, nine = make_prompt(project, "four"), make_prompt(project, "nine", k=9)
    Prompt.objects.filter(pk=four.pk).update(tags=["law", "poems"])
    small = store_ranking(four, alice, RANKS)
    large = store_ranking(nine, alice, {f"r{n}": n for n in range(1, 10)})
    assert kept(project, typed(project, "--k", "9")) == {large.pk}
    assert kept(project, typed(project, "--k", "9", "--k", "4")) == {small.pk, large.pk}
    assert kept(project, typed(project, "--tag", "law", "--tag", "x")) == {small.pk}
    assert kept(project, typed(project, "--tag", "x")) == set()


def test_the_version_of_the_instructions_is_the_ranking_s_own(
    project: Project, prompt: Prompt, alice: Membership, bob: Membership
) -> None:
    first = Instructions.objects.get(project=project, version=1)
    second = Instructions.objects.create(project=project, version=2, text="Kinder.")
    store_ranking(prompt, alice, RANKS, instructions=first)
    new = store_ranking(prompt, bob, RANKS, instructions=second)
    assert kept(project, typed(project, "--instructions-version", "2")) == {new.pk}


def test_another_project_s_rankings_are_never_among_them(
    project: Project, prompt: Prompt, alice: Membership, stranger: Membership
) -> None:
    store_ranking(prompt, alice, RANKS)
    assert kept(stranger.project) == set()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--since", "yesterday"], "since: 'yesterday' is not a date"),
        (["--until", "0001-01-01T00:00+14:00"], "until: .* is not a date"),
        (["--since", "2026-02-02", "--until", "2026-02-02"], "is not before until"),
        (["--since", "2026-01-01", "--since", "2026-01-02"], "given 2 times"),
        (["--k", "3.5"], "k: '3.5' is not a whole number above 0"),
        (["--k", "1"], "k: 1 is not between 2 and 9"),
        (["--k", "9" * 5000], "k: '9+' is not a printable word of at most 200"),
        (["--instructions-version", "0"], "instructions_version: '0'"),
        (["--pool", "easy"], "pool: 'easy' is none of random, targeted, all"),
        (["--include", "early"], "include: 'early' is none of late, surplus"),
        (["--labeler", "nobody"], "no labeler 'nobody' in the project tides"),
        (["--tag", "a\0b"], r"tag: 'a\\x00b' is not a printable word"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused_by_name(
    project: Project, words: list[str], complaint: str
) -> None:
    with pytest.raises(InvalidFilter, match=complaint):
        typed(project, *words)


def test_a_query_string_says_the_same_as_a_command_line(project: Project) -> None:
    query = QueryDict("since=2026-11-01&k=4&k=5&tag=law&include=late,surplus&until=")
    words = "--since 2026-11-01 --k 5 --k 4 --tag law --include surplus,late"
    assert filters_from_query(project, query) == typed(project, *words.split())


def test_the_reader_s_own_pool_holds_where_none_is_given(project: Project) -> None:
    assert typed(project, pool="random").pool == "random"
    assert typed(project, "--pool", "all", pool="random").pool == "all"


@pytest.mark.parametrize(
    ("words", "stored"),
    [
        ([], {"pool": "all"}),
        (
            ["--k", "5", "--k", "4", "--until", "2026-11-21T01:00+01:00"],
            {"pool": "all", "k": [4, 5], "until": "2026-11-21T00:00:00+00:00"},
        ),
    ],
)
def test_filters_are_kept_in_one_form(
    project: Project, words: list[str], stored: dict[str, Any]
) -> None:
    assert typed(project, *words).as_json(project) == stored
