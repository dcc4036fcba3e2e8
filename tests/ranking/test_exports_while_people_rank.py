"""F27: datasets are frozen and written while eight labelers rank by the real verbs.

What a file says of itself is what it holds, whatever was committed meanwhile.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from math import comb
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import pytest
from django.db import connection

from annotation.models import Membership, Project, Role
from annotation.queue import claim
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.models import Dataset, Ranking, RankingQuerySet
from ranking.submit import Submission, submit
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS: Final = 8
PROMPTS: Final = 12
K: Final = 4
LETTERS: Final = "ABCD"


def rank_all(
    labeler: Membership, rng: Random, stored: Callable[[], object] = bool
) -> None:
    """Claim and submit until nothing is left; ties as they come."""
    while (held := claim(labeler)) is not None:
        ranks = {letter: rng.randint(1, K) for letter in LETTERS}
        submission = Submission(uuid=uuid4(), ranks=ranks)
        submit(membership=labeler, token=held.token, submission=submission)
        stored()


@pytest.fixture
def labelers(project: Project) -> list[Membership]:
    for number in range(PROMPTS):
        make_prompt(project, f"p{number:02}", k=K, slots=WRITERS)
    return [make_member(project, f"l{n}", Role.LABELER) for n in range(WRITERS)]


def lines_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / f"{kind}.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def check_written(dataset: Dataset, folder: Path) -> tuple[str, str]:
    """Write it twice over, compare all that it says of itself; the two hashes."""
    hashes = []
    held = {}
    for kind in ("rankings", "pairs"):
        manifest = write(dataset, kind=kind, out=folder / kind)
        held[kind] = lines_of(folder / kind, kind)
        file = manifest["files"][f"{kind}.jsonl"]
        assert file["rows"] == len(held[kind])
        hashes.append(file["sha256"])
    assert_whole(held["rankings"])
    tied = sum(tied_pairs(row["ranks"]) for row in held["rankings"])
    everything = len(held["rankings"])
    assert len(held["pairs"]) == everything * comb(K, 2) - tied
    assert dataset.counts["rankings"] == everything
    assert dataset.counts["strict_pairs"] == len(held["pairs"])
    assert dataset.counts["ties_dropped"] == tied
    return hashes[0], hashes[1]


def assert_whole(rankings: list[dict[str, Any]]) -> None:
    """No half ranking: every one places all responses, in ranks without gaps."""
    for row in rankings:
        assert len(row["ranks"]) == len(row["responses"]) == K
        assert set(row["ranks"]) == set(range(1, max(row["ranks"]) + 1))
    ids = [row["ranking_id"] for row in rankings]
    assert len(set(ids)) == len(ids)


def tied_pairs(ranks: list[int]) -> int:
    return sum(comb(size, 2) for size in Counter(ranks).values())


def test_every_dataset_that_is_written_meanwhile_is_whole_and_stays_the_same(
    project: Project, labelers: list[Membership], tmp_path: Path
) -> None:
    first_stored, first_written = threading.Event(), threading.Event()

    def stored() -> None:  # one of them has more to store once a dataset is written
        first_stored.set()
        assert threading.current_thread() is not threads[0] or first_written.wait(120)

    def work(number: int) -> None:
        try:
            rank_all(labelers[number], Random(number), stored)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[n]) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    assert first_stored.wait(120)
    made: dict[str, tuple[Dataset, tuple[str, str]]] = {}
    writing = True
    while writing:  # once more after the last of them has ended
        writing = any(thread.is_alive() for thread in threads)
        dataset = freeze(project)
        folder = tmp_path / f"{len(made)}-{dataset.name}"
        made[dataset.name] = (dataset, check_written(dataset, folder))
        first_written.set()
    assert len(made) > 1
    assert Ranking.objects.count() == WRITERS * PROMPTS
    assert dataset.counts["rankings"] == WRITERS * PROMPTS
    for again, hashes in made.values():
        assert check_written(again, tmp_path / "again" / again.name) == hashes


def rankings_page_by_page(held: RankingQuerySet) -> list[int]:
    """An export by keyset pages, each of them a moment of its own: the control."""
    keys: list[int] = []
    while page := list(held.filter(pk__gt=keys[-1] if keys else 0).order_by("pk")[:2]):
        keys += [one.pk for one in page]
    return keys


def test_counted_first_and_read_afterwards_the_numbers_differ(
    project: Project, labelers: list[Membership], tmp_path: Path
) -> None:
    """The control: what holds one moment together is the dataset, not good luck."""
    rank_all(labelers[0], Random(0))
    header = Ranking.objects.filter(project=project).count()
    frozen = freeze(project)
    rank_all(labelers[1], Random(1))
    lines = rankings_page_by_page(Ranking.objects.filter(project=project))
    assert (header, len(lines)) == (PROMPTS, 2 * PROMPTS)
    check_written(frozen, tmp_path)
    assert frozen.counts["rankings"] == header
