"""Freezing: the same choice of the same rankings is the same dataset."""

import dataclasses
import hashlib
import io
import json
import threading
from pathlib import Path

import orjson
import pytest
from django.db import connection, transaction

from annotation.imports import import_prompts
from annotation.models import Membership, Project, Prompt, PromptRejection
from ranking.datasets import NothingToFreeze, _Content, freeze
from ranking.export.reading import parts_of
from ranking.filters import Filters
from ranking.frozen import in_order, read_prompts
from ranking.imports import import_rankings
from ranking.models import (
    Dataset,
    DatasetRanking,
    PromptSplit,
    Ranking,
    RankingStatus,
)
from tests.conftest import make_prompt
from tests.pandalm import pandalm_files
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
TIED = dict.fromkeys(RANKS, 1)


def held(dataset: Dataset) -> set[int]:
    rows = DatasetRanking.objects.filter(dataset=dataset)
    return set(rows.values_list("ranking", flat=True))


def shouted(project: Project, prompt_id: str, text: str) -> Prompt:
    """A prompt of this very text, with four responses."""
    responses = [{"id": f"r{n}", "text": f"Answer {n}"} for n in range(1, 5)]
    line = {"id": prompt_id, "prompt": text, "responses": responses}
    import_prompts(project, io.BytesIO(json.dumps(line).encode()))
    return Prompt.objects.get(external_id=prompt_id)


@pytest.fixture
def prompt(project: Project) -> Prompt:
    return make_prompt(project)


def test_a_dataset_holds_what_counts_and_says_how_much(
    project: Project, prompt: Prompt, alice: Membership, bob: Membership
) -> None:
    hers = store_ranking(prompt, alice, RANKS)
    his = store_ranking(prompt, bob, TIED)
    store_ranking(
        make_prompt(project, "p2"), alice, RANKS, status=RankingStatus.SURPLUS
    )
    dataset = freeze(project, user=bob.user)
    assert held(dataset) == {hers.pk, his.pk}
    # 5 of her 6 pairs are strict; all 6 of his are tied.
    assert dataset.counts == {
        "prompts": 1,
        "labelers": 2,
        "rankings": 2,
        "strict_pairs": 5,
        "ties_dropped": 7,
        "prompts_left_out": 0,
    }
    assert dataset.created_by == bob.user
    assert dataset.name == f"ds-{dataset.content_sha256[:12]}"
    assert dataset.filters == {"pool": "all"}


def test_freezing_the_same_again_gives_the_same_dataset(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    store_ranking(prompt, alice, RANKS)
    assert freeze(project) == freeze(project, Filters())
    assert Dataset.objects.count() == 1


def test_another_filter_is_another_dataset_even_over_the_same_rankings(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    store_ranking(prompt, alice, RANKS)
    everything, small = freeze(project), freeze(project, Filters(k=frozenset({4})))
    assert held(everything) == held(small)
    assert everything.name != small.name
    assert small.filters == {"pool": "all", "k": [4]}


def test_a_new_ranking_makes_a_new_dataset_and_the_old_one_stays(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    first = store_ranking(prompt, alice, RANKS)
    before = freeze(project)
    second = revise(first, TIED)
    after = freeze(project)
    assert held(before) == {first.pk}
    assert held(after) == {second.pk}
    assert before.name != after.name


def test_late_and_surplus_rankings_enter_by_name_only(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    late = store_ranking(prompt, alice, RANKS, status=RankingStatus.LATE)
    with pytest.raises(NothingToFreeze, match="no ranking of the project tides"):
        freeze(project)
    assert held(freeze(project, Filters(include=frozenset({"late"})))) == {late.pk}


def test_a_prompt_taken_out_leaves_new_datasets_and_stays_in_old_ones(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    gone = store_ranking(prompt, alice, RANKS)
    stays = store_ranking(make_prompt(project, "p2"), alice, RANKS)
    before = freeze(project)
    PromptRejection.objects.create(prompt=prompt, reason="bad")
    assert held(freeze(project)) == {stays.pk}
    assert held(before) == {gone.pk, stays.pk}
    with transaction.atomic():
        assert [one.id for part in parts_of(before) for one in part] == ["p1", "p2"]


def test_a_dataset_without_ratings_keeps_the_name_that_it_had_before_there_were_any(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    store_ranking(prompt, alice, RANKS)
    dataset = freeze(project)
    with transaction.atomic():
        keys = in_order(Ranking.objects.all())
        [[frozen]] = list(read_prompts(project, keys))
    line = dataclasses.asdict(frozen) | {"split": None}
    [ranking] = line["rankings"]
    assert (ranking.pop("ratings"), ranking.pop("flags")) == ([], [])
    content = orjson.dumps({"pool": "all"}) + b"\n" + orjson.dumps(line)
    assert dataset.content_sha256 == hashlib.sha256(content).hexdigest()


def test_ratings_and_flags_belong_to_what_a_dataset_holds(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    with transaction.atomic():
        keys = in_order(
            Ranking.objects.filter(pk=store_ranking(prompt, alice, RANKS).pk)
        )
        [[plain]] = list(read_prompts(project, keys))
    [ranking] = plain.rankings
    hashes = set()
    for ratings, flags in (
        ([], []),
        ([7, 1, None, 4], []),
        ([], [["rude"], [], [], []]),
    ):
        said = dataclasses.replace(ranking, ratings=ratings, flags=flags)
        content = _Content({})
        content.add([dataclasses.replace(plain, rankings=[said])])
        hashes.add(content.sha256)
    assert len(hashes) == 3


def test_an_empty_choice_leaves_no_dataset_behind(project: Project) -> None:
    with pytest.raises(NothingToFreeze):
        freeze(project)
    assert not Dataset.objects.exists()


def test_equal_prompts_share_a_split_and_it_never_changes(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompts = [make_prompt(project, f"p{n}") for n in range(30)]
    for prompt in prompts:
        store_ranking(prompt, alice, RANKS)
    freeze(project)
    splits = dict(PromptSplit.objects.values_list("prompt", "split"))
    assert len(splits) == 30
    assert set(splits.values()) == {"train", "valid1", "valid2"}
    twin = shouted(project, "twin", " QUESTION  P7? ")
    store_ranking(twin, alice, RANKS)
    store_ranking(prompts[7], bob, TIED)
    freeze(project)
    later = dict(PromptSplit.objects.values_list("prompt", "split"))
    assert later == splits | {twin.pk: splits[prompts[7].pk]}


def test_a_split_once_fixed_stays_whatever_the_rule_says_now(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    store_ranking(prompt, alice, RANKS)
    PromptSplit.objects.create(prompt=prompt, group="old rule", split="valid2")
    freeze(project)
    assert PromptSplit.objects.get().split == "valid2"


@pytest.mark.django_db(transaction=True)
def test_four_equal_freezes_at_once_make_one_dataset(
    project: Project, alice: Membership
) -> None:
    for number in range(20):
        store_ranking(make_prompt(project, f"p{number}"), alice, RANKS)
    together = threading.Barrier(4)
    made: list[Dataset] = []

    def run() -> None:
        together.wait()
        made.append(freeze(project))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({dataset.pk for dataset in made}) == 1
    assert len(made) == 4
    assert DatasetRanking.objects.count() == 20


def test_pandalm_has_the_published_counts(project: Project, tmp_path: Path) -> None:
    prompts, rankings = pandalm_files(tmp_path)
    for _ in range(2):
        with prompts.open("rb") as file:
            import_prompts(project, file)
        with rankings.open("rb") as file:
            import_rankings(project, file)
        dataset = freeze(project)
    assert dataset.counts == {
        "prompts": 35,
        "labelers": 3,
        "rankings": 98,
        "strict_pairs": 620,
        "ties_dropped": 128,
        "prompts_left_out": 0,
    }
    assert Dataset.objects.count() == 1
    four = freeze(project, Filters(k=frozenset({4})))
    assert (four.counts["rankings"], four.counts["strict_pairs"]) == (58, 311)
