"""Splits of near-duplicates in the database: fixed once, for every project."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from annotation.models import Membership, Project, Prompt, Role, Takedown
from ranking import fixed_splits
from ranking.datasets import NothingToFreeze, freeze
from ranking.fixed_splits import fix_splits
from ranking.models import Dataset, DatasetRanking, PromptFingerprint, PromptSplit
from ranking.split_groups import place
from ranking.splits import group_of
from tests.conftest import make_member, make_prompt
from tests.racing import at_once, together
from tests.ranking.rows import store_ranking
from tests.ranking.test_near_duplicates import sentence, with_other_words

pytestmark = pytest.mark.django_db
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
TEXT = sentence(140, seed=1)


def a_prompt(project: Project, name: str, text: str) -> Prompt:
    prompt = make_prompt(project, name)
    with connection.cursor() as cursor:  # what was served cannot be changed otherwise
        cursor.execute("SET LOCAL session_replication_role = replica")
        Prompt.objects.filter(pk=prompt.pk).update(
            messages=[{"role": "user", "content": text}]
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    prompt.refresh_from_db()
    return prompt


def splits() -> dict[str, str]:
    return dict(PromptSplit.objects.values_list("prompt__external_id", "split"))


def fix(*prompts: Prompt) -> set[int]:
    with transaction.atomic():
        return fix_splits([prompt.pk for prompt in prompts])


def test_near_duplicates_share_a_split_and_a_group(project: Project) -> None:
    texts = [sentence(140, seed=seed) for seed in range(12)]
    prompts = [
        a_prompt(project, f"{n}{twin}", with_other_words(text, at))
        for n, text in enumerate(texts)
        for twin, at in (("a", 10), ("b", 100))
    ]
    assert fix(*prompts) == set()
    found = splits()
    assert {found[f"{n}a"] == found[f"{n}b"] for n in range(12)} == {True}
    assert PromptSplit.objects.values("group").distinct().count() == 12
    assert len(set(found.values())) > 1


def test_a_later_prompt_takes_the_split_of_what_it_is_like(project: Project) -> None:
    for number in range(8):
        text = sentence(140, seed=number)
        fix(a_prompt(project, f"{number}a", text))
        fix(a_prompt(project, f"{number}b", with_other_words(text, 50)))
        assert splits()[f"{number}a"] == splits()[f"{number}b"]


def test_in_which_order_prompts_come_together_does_not_matter(
    project: Project,
) -> None:
    prompts = [
        a_prompt(project, f"p{n}", with_other_words(TEXT, n * 10)) for n in range(5)
    ]
    outcomes = []
    for line in (prompts, prompts[::-1]):
        with transaction.atomic():
            fix(*line)
            outcomes.append(
                sorted(PromptSplit.objects.values_list("prompt", "group", "split"))
            )
            transaction.set_rollback(True)
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 5


def test_other_projects_prompts_are_near_duplicates_too(
    project: Project, stranger: Membership
) -> None:
    for seed in range(6):
        text = sentence(140, seed=seed)
        fix(a_prompt(project, f"ours{seed}", text))
        fix(a_prompt(stranger.project, f"theirs{seed}", with_other_words(text, 3)))
        assert splits()[f"ours{seed}"] == splits()[f"theirs{seed}"]


@pytest.fixture
def two_splits(project: Project) -> tuple[Prompt, Prompt, Prompt]:
    """A prompt of train, one of valid1, and a new one that is like both."""
    left, middle, right = (
        a_prompt(project, name, with_other_words(TEXT, *places))
        for name, places in (("left", (10, 20)), ("middle", ()), ("right", (90, 100)))
    )
    for prompt, split in ((left, "train"), (right, "valid1")):
        PromptSplit.objects.create(prompt=prompt, group=prompt.external_id, split=split)
    return left, middle, right


def test_a_prompt_that_would_join_two_splits_is_left_out_and_counted(
    project: Project, alice: Membership, two_splits: tuple[Prompt, Prompt, Prompt]
) -> None:
    stored = [store_ranking(prompt, alice, RANKS) for prompt in two_splits]
    dataset = freeze(project)
    held = DatasetRanking.objects.filter(dataset=dataset)
    assert set(held.values_list("ranking", flat=True)) == {stored[0].pk, stored[2].pk}
    assert dataset.counts["prompts"] == 2
    assert dataset.counts["prompts_left_out"] == 1
    assert splits() == {"left": "train", "right": "valid1"}


def test_where_all_would_join_two_splits_there_is_nothing_to_freeze(
    project: Project, alice: Membership, two_splits: tuple[Prompt, Prompt, Prompt]
) -> None:
    store_ranking(two_splits[1], alice, RANKS)
    with pytest.raises(NothingToFreeze, match="all 1 prompts of tides that match"):
        freeze(project)
    assert not Dataset.objects.exists()


def test_a_prompt_fixed_before_there_were_fingerprints_is_found(
    project: Project,
) -> None:
    fixed = a_prompt(project, "old", TEXT)
    PromptSplit.objects.create(prompt=fixed, group="as it was", split="valid2")
    fix(a_prompt(project, "new", with_other_words(TEXT, 70)))
    assert splits()["new"] == "valid2"
    assert PromptSplit.objects.get(prompt__external_id="new").group == "as it was"


def test_fingerprints_are_made_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = a_prompt(project, "p1", TEXT)
    fix(prompt)
    kept = PromptFingerprint.objects.get()
    assert kept.text_sha256 == group_of(prompt.messages)

    def refuse(texts: Any) -> Any:
        [some] = list(texts)
        assert "question" in " ".join(some), "a text was read again"
        return iter([])

    monkeypatch.setattr("ranking.fixed_splits.shingles_of", refuse)
    assert fix(prompt) == set()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        PromptFingerprint.objects.update(text_sha256="")


def test_a_text_that_was_taken_down_is_like_no_other_but_its_name_stays(
    project: Project, admin: Membership
) -> None:
    gone = a_prompt(project, "gone", TEXT)
    PromptSplit.objects.create(
        prompt=gone, group=group_of(gone.messages), split="valid2"
    )
    Takedown.objects.create(prompt=gone, reason="a name", created_by=admin.user)
    fix(a_prompt(project, "again", TEXT), a_prompt(project, "other", "[taken down]"))
    assert splits()["again"] == "valid2"
    assert not PromptFingerprint.objects.filter(prompt=gone).exists()


def test_nothing_enters_a_dataset_later(
    project: Project, alice: Membership, stranger: Membership
) -> None:
    store_ranking(a_prompt(project, "p1", "One?"), alice, RANKS)
    dataset = freeze(project)
    late = store_ranking(a_prompt(project, "p2", "Two?"), alice, RANKS)
    with pytest.raises(DatabaseError, match="takes nothing more"), transaction.atomic():
        DatasetRanking.objects.create(dataset=dataset, ranking=late)
    empty = Dataset.objects.create(
        project=stranger.project,
        name="ds-0",
        content_sha256="0",
        filters={},
        counts={"rankings": 1},
    )
    with pytest.raises(DatabaseError, match="its own project"), transaction.atomic():
        DatasetRanking.objects.create(dataset=empty, ranking=late)


@pytest.fixture
def two_projects(
    project: Project, alice: Membership, stranger: Membership
) -> list[Project]:
    """Twelve texts in one project, and each with another word in the other."""
    eve = make_member(stranger.project, "eve", Role.LABELER)
    for n in range(12):
        text = sentence(140, seed=n)
        with transaction.atomic():
            ours = a_prompt(project, f"a{n}", text)
            theirs = a_prompt(stranger.project, f"b{n}", with_other_words(text, n * 9))
        store_ranking(ours, alice, RANKS)
        store_ranking(theirs, eve, RANKS)
    return [project, stranger.project]


def both_hold_it_before_either_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody commits before the other has looked for what is fixed."""
    meet = together(2)

    def place_once_both_have_looked(*given: Any) -> Any:
        meet()
        return place(*given)

    monkeypatch.setattr(fixed_splits, "place", place_once_both_have_looked)


def groups_of(letter: str) -> list[tuple[str, str]]:
    rows = PromptSplit.objects.filter(prompt__external_id__startswith=letter)
    ordered = sorted(rows, key=lambda row: int(row.prompt.external_id[1:]))
    return [(row.group, row.split) for row in ordered]


@pytest.mark.django_db(transaction=True)
def test_two_projects_that_freeze_the_same_text_at_once_find_one_split(
    two_projects: list[Project],
) -> None:
    at_once(freeze, two_projects)
    assert groups_of("a") == groups_of("b")
    assert len(groups_of("a")) == 12
    assert len({split for _, split in groups_of("a")}) > 1


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_they_find_two(
    two_projects: list[Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is alone with its texts, and half of them get a name and split of their own:
    what the test before this one would see if nobody waited."""
    both_hold_it_before_either_goes_on(monkeypatch)
    monkeypatch.setattr(fixed_splits, "wait_for_turn", lambda *_: None)
    at_once(freeze, two_projects)
    assert len(groups_of("a")) == len(groups_of("b")) == 12
    assert groups_of("a") != groups_of("b")
    assert [split for _, split in groups_of("a")] != [
        split for _, split in groups_of("b")
    ]
