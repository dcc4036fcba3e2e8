"""The fast reader of exports finds what the reader that freezes finds."""

import dataclasses
import random

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.export import reading
from ranking.export.held import HeldPrompt
from ranking.export.reading import parts_of
from ranking.frozen import FrozenPrompt, in_order, read_prompts
from ranking.models import Dataset, PromptSplit, Ranking
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(project: Project, alice: Membership, bob: Membership) -> Dataset:
    """Prompts of every K, responses whose ids sort otherwise than their keys, ratings,
    flags, notes, imports without an order shown."""
    rng = random.Random(5)
    for k in range(4, 10):
        prompt = make_prompt(project, f"p{k}", k=k)
        for number, response in enumerate(prompt.responses.order_by("pk")):
            assert response.external_id == f"r{number + 1}"
        for labeler in (alice, bob):
            ids = [f"r{number + 1}" for number in range(k)]
            ranks = {name: rng.randint(1, k) for name in ids}
            said = {"r2": {"rating": 3, "flags": ["rude"]}} if k % 2 else None
            dense = {rank: n for n, rank in enumerate(sorted({*ranks.values()}), 1)}
            store_ranking(
                prompt,
                labeler,
                {name: dense[rank] for name, rank in ranks.items()},
                said=said,
                note="hm" if k == 5 else "",
                active_seconds=1.5 if k == 6 else None,
            )
    return freeze(project)


def as_held(prompt: FrozenPrompt) -> dict[str, object]:
    rankings = [dataclasses.asdict(ranking) for ranking in prompt.rankings]
    return {
        "id": prompt.id,
        "messages": prompt.messages,
        "tags": prompt.tags,
        "split": prompt.split,
        "responses": [tuple(response.values()) for response in prompt.responses],
        "orders": [ranking.pop("ranks") for ranking in rankings],
        "said": [{"ranking_id": one.pop("pk"), **one} for one in rankings],
    }


def as_frozen(prompt: HeldPrompt) -> dict[str, object]:
    fields = dataclasses.asdict(prompt)
    assert fields.pop("labelers") == len(prompt.orders)
    assert fields.pop("undecided_pairs") == 0
    columns = [fields.pop(name) for name in ("response_ids", "texts", "models")]
    return {**fields, "responses": list(zip(*columns, strict=True))}


def test_it_reads_what_was_frozen(project: Project, dataset: Dataset) -> None:
    with transaction.atomic():
        keys = in_order(Ranking.objects.filter(datasetranking__dataset=dataset))
        frozen = [one for some in read_prompts(project, keys) for one in some]
        held = [one for part in parts_of(dataset) for one in part]
    assert [as_frozen(one) for one in held] == [as_held(one) for one in frozen]
    assert {len(one.response_ids) for one in held} == {4, 5, 6, 7, 8, 9}


def test_ids_may_sort_otherwise_than_keys(project: Project, alice: Membership) -> None:
    prompt = make_prompt(project, k=9)
    for name in ("r10", "Z"):  # these came last, and stand before r2 and r1
        prompt.responses.create(external_id=name, text=name, model=None, params={})
    ranks = {f"r{number}": number for number in range(1, 11)} | {"Z": 11}
    store_ranking(prompt, alice, ranks)
    dataset = freeze(project)
    with transaction.atomic():
        [[held]] = list(parts_of(dataset))
    assert held.response_ids == ["Z", "r1", "r10", *(f"r{n}" for n in range(2, 10))]
    assert held.orders == [[11, 1, 10, *range(2, 10)]]


def test_long_texts_make_small_parts(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes() -> list[int]:
        with transaction.atomic():
            return [len(part) for part in parts_of(dataset)]

    assert sizes() == [6]
    turn = len('[{"role": "user", "content": "Question p4?"}]')
    # 15 characters a response: 60 + 75, 90 + 105, 120, 135; and as many prompts.
    monkeypatch.setattr(reading, "CHARACTERS_AT_ONCE", 200 + 2 * turn)
    assert sizes() == [2, 2, 1, 1]
    monkeypatch.setattr(reading, "CHARACTERS_AT_ONCE", 60 + 75 + 2 * turn)
    assert sizes()[0] == 2
    monkeypatch.setattr(reading, "CHARACTERS_AT_ONCE", 60 + 75 + 2 * turn - 1)
    assert sizes() == [1] * 6
    monkeypatch.setattr(reading, "CHARACTERS_AT_ONCE", 1)
    assert sizes() == [1] * 6
    monkeypatch.setattr(reading, "CHARACTERS_AT_ONCE", 10**9)
    monkeypatch.setattr(reading, "PROMPTS_AT_ONCE", 4)
    assert sizes() == [4, 2]


def test_only_one_split_is_read(dataset: Dataset) -> None:
    fixed = dict(PromptSplit.objects.values_list("prompt__external_id", "split"))
    for split in ("train", "valid1", "valid2"):
        with transaction.atomic():
            read = [one.id for part in parts_of(dataset, split) for one in part]
        assert read == sorted(name for name in fixed if fixed[name] == split)


def test_a_part_takes_the_same_few_statements_however_many_prompts_it_has(
    dataset: Dataset,
) -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        list(parts_of(dataset))
    # Django's own: the keys. The others go through a cursor of their own.
    assert len(queries) <= 2
