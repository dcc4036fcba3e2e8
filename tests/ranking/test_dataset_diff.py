"""What differs between two datasets; and that following a project misses nothing."""

import threading
import time
from dataclasses import replace
from random import Random

import pytest
from django.db import connection, transaction

from annotation.models import Membership, Project, Role
from ranking.dataset_diff import diff_of, held_by, new_since
from ranking.datasets import freeze
from ranking.diff_words import (
    Change,
    DatasetDiff,
    FilterChange,
    LabelerChange,
    changed_filters,
)
from ranking.filter_words import filters_from_json
from ranking.filters import Filters, InvalidFilter
from ranking.matching import Matching, matching
from ranking.models import PromptSplit, Ranking
from tests.conftest import make_member, make_prompt
from tests.ranking.rows import revise, store_ranking

RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
TIED = dict.fromkeys(RANKS, 1)
NOTHING = Change(0, 0)


def a_diff(**changes: object) -> DatasetDiff:
    same = DatasetDiff(
        rankings=NOTHING,
        corrected=0,
        prompts=NOTHING,
        strict_pairs=0,
        labelers=(),
        splits={},
        filters=(),
    )
    return replace(same, **changes)  # type: ignore[arg-type]


# --- In words ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the same rankings"),
        ({"rankings": Change(1204, 0)}, "+1,204 rankings"),
        (
            {
                "rankings": Change(1204, 0),
                "labelers": (LabelerChange("L-1", 3, 0), LabelerChange("L-2", 3, 9)),
            },
            "+1,204 rankings, −1 labeler",
        ),
        (
            {"rankings": Change(2, 1), "prompts": Change(0, 1), "corrected": 1},
            "+2 −1 rankings, −1 prompt, 1 ranking corrected",
        ),
    ],
)
def test_a_difference_is_one_line(changes: dict[str, object], words: str) -> None:
    assert a_diff(**changes).in_words == words


def test_filters_that_differ_are_named_and_others_are_not() -> None:
    before = {"pool": "all", "k": [4], "since": "2026-06-01T00:00:00+00:00"}
    after = {"pool": "random", "k": [4], "tag": ["maths"]}
    assert changed_filters(before, after) == (
        FilterChange("pool", "all", "random"),
        FilterChange("since", "2026-06-01T00:00:00+00:00", None),
        FilterChange("tag", None, ["maths"]),
    )


# --- Two datasets -----------------------------------------------------------------


@pytest.mark.django_db
def test_what_came_what_went_and_what_was_corrected(
    project: Project, alice: Membership, bob: Membership
) -> None:
    one, two, three = (make_prompt(project, f"p{n}") for n in range(3))
    for prompt, split in ((one, "train"), (two, "train"), (three, "valid2")):
        PromptSplit.objects.create(prompt=prompt, group=str(prompt.pk), split=split)
    corrected = store_ranking(one, alice, RANKS)
    store_ranking(two, bob, RANKS)
    before = freeze(project)
    revise(corrected, TIED)
    store_ranking(two, alice, RANKS)
    store_ranking(three, alice, RANKS)
    after = freeze(project, Filters(without_labelers=frozenset({bob.pk})))
    hers, his = project.pseudonym(alice.pk), project.pseudonym(bob.pk)
    expected = DatasetDiff(
        rankings=Change(3, 2),
        corrected=1,
        prompts=Change(1, 0),
        strict_pairs=10 - 10,  # 5 + 5 before; 0 + 5 + 5 now, as the correction ties all
        labelers=tuple(sorted([LabelerChange(hers, 1, 3), LabelerChange(his, 1, 0)])),
        splits={"train": (2, 2), "valid1": (0, 0), "valid2": (0, 1)},
        filters=(FilterChange("without_labeler", None, [his]),),
    )
    found = diff_of(before, after)
    assert found == expected
    assert found.labelers_changed == Change(0, 1)
    assert found.in_words == (
        "+3 −2 rankings, +1 prompt, −1 labeler, 1 ranking corrected"
    )
    back = diff_of(after, before)
    assert (back.rankings, back.prompts) == (Change(2, 3), Change(0, 1))
    assert diff_of(after, after).is_empty
    assert not found.is_empty


@pytest.mark.django_db
def test_a_dataset_s_filters_are_read_back_as_they_were(
    project: Project, alice: Membership
) -> None:
    filters = Filters(
        labelers=frozenset({alice.pk}),
        k=frozenset({4, 9}),
        tags=frozenset({"maths"}),
        instructions_versions=frozenset({1}),
        pool="random",
        include=frozenset({"late", "surplus"}),
    )
    assert filters_from_json(project, filters.as_json(project)) == filters
    assert filters_from_json(project, Filters().as_json(project)) == Filters()
    with pytest.raises(InvalidFilter, match="no labeler 'L-nobody'"):
        filters_from_json(project, {"pool": "all", "labeler": ["L-nobody"]})


@pytest.mark.django_db
def test_what_matches_is_what_a_dataset_would_hold(
    project: Project, alice: Membership, bob: Membership
) -> None:
    assert matching(project, Filters()) == Matching(0, 0, 0, 0, 0)
    prompt = make_prompt(project)
    store_ranking(prompt, alice, RANKS)
    store_ranking(prompt, bob, TIED)
    store_ranking(make_prompt(project, "p9", k=9), bob, {f"r{n}": n for n in range(10)})
    found = matching(project, Filters())
    # 5 of 6, none of 6, 36 of 36.
    assert found == Matching(3, 2, 2, 41, 7)
    counts = freeze(project).counts
    assert counts["strict_pairs"] == found.strict_pairs
    assert counts["ties_dropped"] == found.ties
    only_hers = matching(project, Filters(labelers=frozenset({alice.pk})))
    assert only_hers == Matching(1, 1, 1, 5, 1)


@pytest.mark.django_db
def test_what_is_new_since_a_dataset_goes_by_its_filters(
    project: Project, alice: Membership, bob: Membership
) -> None:
    store_ranking(make_prompt(project, "p1"), alice, RANKS)
    dataset = freeze(project, Filters(labelers=frozenset({alice.pk})))
    assert not new_since(dataset).exists()
    his = store_ranking(make_prompt(project, "p2"), bob, RANKS)
    hers = store_ranking(make_prompt(project, "p3"), alice, RANKS)
    assert list(new_since(dataset)) == [hers]
    assert set(new_since(dataset, Filters())) == {his, hers}


# --- Following a project ----------------------------------------------------------

WRITERS, RANKINGS = 8, 12


def keys_above(project: Project, last: int) -> list[int]:
    """The cursor that looks right, and is not."""
    rows = Ranking.objects.filter(project=project, pk__gt=last)
    return list(rows.order_by("pk").values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_ranking_that_is_committed_late_is_missed_by_keys_and_found_by_difference(
    project: Project, alice: Membership, bob: Membership
) -> None:
    first, second = make_prompt(project, "p1"), make_prompt(project, "p2")
    stored, may_commit = threading.Event(), threading.Event()
    slow: list[int] = []

    def write() -> None:
        with transaction.atomic():
            slow.append(store_ranking(first, alice, RANKS).pk)
            stored.set()
            assert may_commit.wait(30)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert stored.wait(30)
    quick = store_ranking(second, bob, RANKS).pk
    assert slow[0] < quick
    by_keys = keys_above(project, 0)
    before = freeze(project)
    may_commit.set()
    writer.join()
    by_keys += keys_above(project, by_keys[-1])
    after = freeze(project)
    assert by_keys == [quick]  # and never the other one
    assert [one.pk for one in held_by(before)] == [quick]
    assert [one.pk for one in held_by(after, without=before)] == slow


def follow(
    project: Project, writers: list[threading.Thread], keys_were_read: threading.Event
) -> tuple[list[int], list[int]]:
    """All that was read while they wrote: by differences, and by keys."""
    followed: list[int] = []
    by_keys: list[int] = []
    before = None
    writing = True
    while writing:
        writing = any(thread.is_alive() for thread in writers)
        by_keys += keys_above(project, by_keys[-1] if by_keys else 0)
        if by_keys:
            keys_were_read.set()
            after = freeze(project)
            rows = held_by(after, without=before)
            followed += rows.values_list("pk", flat=True)
            before = after
    return followed, by_keys


@pytest.mark.django_db(transaction=True)
def test_eight_writers_who_commit_late_and_nothing_is_missed_or_comes_twice(
    project: Project,
) -> None:
    labelers = [make_member(project, f"l{n}", Role.LABELER) for n in range(WRITERS)]
    prompts = [make_prompt(project, f"p{n:02}", slots=1) for n in range(RANKINGS)]
    first_stored, keys_were_read = threading.Event(), threading.Event()

    def write(number: int) -> None:
        late = Random(number)
        # The first writer holds the first prompt until keys were read: the others end
        # with it.
        for at, prompt in enumerate(prompts[1:] + prompts[:1] if number else prompts):
            if number:
                assert first_stored.wait(30)
            with transaction.atomic():
                slot = {"slot": 100 + number}
                store_ranking(prompt, labelers[number], RANKS, assignment=slot)
                if number == at == 0:  # the lowest key of all is committed late
                    first_stored.set()
                    assert keys_were_read.wait(30)
                time.sleep(late.uniform(0, 0.02))  # the window, held open
        connection.close()

    threads = [threading.Thread(target=write, args=[n]) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    followed, by_keys = follow(project, threads, keys_were_read)
    everything = set(Ranking.objects.values_list("pk", flat=True))
    assert len(everything) == WRITERS * RANKINGS
    assert sorted(followed) == sorted(everything)
    assert min(everything) not in by_keys
