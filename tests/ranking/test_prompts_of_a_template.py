"""Thousands of prompts from one template share bands with each other, alike or not."""

from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from annotation.models import Project, Prompt
from ranking import fixed_splits
from ranking.fixed_splits import AT_ONCE, WITH_A_BAND, fix_splits
from ranking.models import PromptFingerprint, PromptSplit
from ranking.near_duplicates import BANDS, ROWS, VALUES, bands_of
from ranking.split_groups import (
    FixedPrompts,
    Neighbours,
    NewPrompts,
    Place,
    groups_of,
    look_for,
)
from ranking.splits import split_of

FIXED, NEW = 5_000, 600
Signatures = NDArray[np.uint32]


def of_a_template(count: int, *, kept: float) -> Signatures:
    """Signatures that have this share of their values from one template.

    Two of them agree in kept² of 128 values: in 92 for 0.85, and 103 are enough.
    """
    rng = np.random.default_rng(5)
    template = rng.integers(0, 2**32, VALUES, dtype=np.uint32)
    found = rng.integers(0, 2**32, (count, VALUES), dtype=np.uint32)
    return np.where(rng.random((count, VALUES)) < kept, template, found)


def new_prompts(signatures: Signatures) -> NewPrompts:
    return NewPrompts(
        names=[f"{number:064}" for number in range(len(signatures))],
        signatures=signatures,
        bands=np.array([bands_of(one) for one in signatures], dtype=np.int64),
    )


def alike(signatures: Signatures) -> NDArray[np.bool_]:
    """By the definition, every one with every other: (N, N)."""
    equal = signatures[:, None] == signatures[None]
    bands = equal[:, :, : BANDS * ROWS].reshape(*equal.shape[:2], BANDS, ROWS)
    found: NDArray[np.bool_] = (equal.mean(axis=2) >= 0.8) & bands.all(3).any(2)
    return found


@pytest.mark.parametrize("kept", [0.8, 0.85, 0.875, 0.95])
def test_their_groups_are_those_of_the_definition(kept: float) -> None:
    signatures = of_a_template(400, kept=kept)
    signatures[300:320] = signatures[7]
    count, label = connected_components(alike(signatures), directed=False)
    found = groups_of(new_prompts(signatures), without=set())
    assert {frozenset(group) for group in found} == {
        frozenset(np.flatnonzero(label == one).tolist()) for one in range(count)
    }
    assert sorted(at for group in found for at in group) == list(range(400))


def test_who_is_left_out_joins_nobody() -> None:
    signatures = of_a_template(300, kept=0.875)
    bridges = set(range(0, 300, 3))
    others = [at for at in range(300) if at not in bridges]
    count, label = connected_components(alike(signatures[others]), directed=False)
    found = groups_of(new_prompts(signatures), without=bridges)
    assert {frozenset(group) for group in found} == {
        frozenset(others[at] for at in np.flatnonzero(label == one))
        for one in range(count)
    }


def test_what_a_new_one_is_like_does_not_depend_on_who_is_looked_for_with_it() -> None:
    signatures = of_a_template(400, kept=0.875)
    places = [Place(f"group{at % 50}", "train") for at in range(200)]
    among = FixedPrompts(
        names=[f"fixed{at}" for at in range(200)],
        signatures=signatures[:200],
        places=places,
    )
    near: dict[int, Neighbours] = {}
    look_for(new_prompts(signatures[200:]), among, near, some=range(200))
    expected = alike(signatures)[200:, :200]
    assert expected.any()
    for at, row in enumerate(expected):
        assert near[at].similar == {places[one] for one in np.flatnonzero(row)}


# --- In the database --------------------------------------------------------------


@pytest.fixture
def template(project: Project) -> list[int]:
    """Keys of 5,000 prompts with a split, each in a group of its own, and of 600 new
    ones; the first ten of these are like the first ten of those."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO annotation_prompt (project_id, external_id, messages, tags,"
            " purpose, metadata, line_sha256, overlap, priority, failure)"
            " SELECT %s, 't' || n, '[]', '{}', 'work', '{}', '', 1, 0, ''"
            " FROM generate_series(1, %s) n",
            [project.pk, FIXED + NEW],
        )
    keys = list(Prompt.objects.order_by("pk").values_list("pk", flat=True))
    # Half of all pairs share a band, and none are alike.
    signatures = of_a_template(FIXED + NEW, kept=0.75)
    signatures[FIXED : FIXED + 10] = signatures[:10]
    signatures[FIXED : FIXED + 10, VALUES - 1] += 1  # alike, and another text
    known = new_prompts(signatures)
    fixed_splits._copy(
        PromptFingerprint,
        (
            (key, name, signature.astype("<u4").tobytes(), bands.tolist())
            for key, name, signature, bands in zip(
                keys, known.names, signatures, known.bands, strict=True
            )
        ),
    )
    rows = zip(keys[:FIXED], known.names, strict=False)
    fixed_splits._copy(PromptSplit, ((key, name, "valid1") for key, name in rows))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ranking_promptfingerprint, ranking_promptsplit")
    return keys


@pytest.mark.django_db
def test_each_is_read_once_for_500_new_ones_and_not_for_each_of_them(
    template: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    rows_of = fixed_splits._rows

    def counted(statement: str, keys: Any) -> Any:
        rows = rows_of(statement, keys)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(fixed_splits, "_rows", counted)
    with transaction.atomic():
        assert fix_splits(template) == set()
    portions = -(-NEW // AT_ONCE)
    # Twice their number a portion, keys and signatures. Pairs would be three million.
    assert sum(read) <= 2 * portions * (FIXED + NEW) + 3 * NEW
    new = PromptSplit.objects.filter(prompt__in=template[FIXED:]).order_by("prompt")
    places = list(new.values_list("group", "split"))
    assert places[:10] == [(f"{at:064}", "valid1") for at in range(10)]
    own = [f"{at:064}" for at in range(FIXED + 10, FIXED + NEW)]
    assert places[10:] == [(name, split_of(name)) for name in own]


@pytest.mark.django_db
def test_the_index_is_asked_whatever_the_statistics_say(template: list[int]) -> None:
    bands = PromptFingerprint.objects.get(pk=template[-1]).bands
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {WITH_A_BAND}", [bands])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Bitmap Index Scan on near_duplicates_share_a_band" in plan
    assert "Seq Scan" not in plan
