"""Undoing an import: told first, all or nothing, once, and never under a reader."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError
from django.test import Client

from annotation import undo_import
from annotation.changes import changes_of
from annotation.imports import import_prompts
from annotation.models import (
    Assignment,
    GenerationRun,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Qualification,
    Response,
)
from annotation.queue import claim, reject_prompt
from annotation.undo_import import Undoing, UndoRefusedError, plan, undo
from ranking.models import Ranking
from tests.racing import SECONDS, meanwhile, started
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


def lines(*ids: str) -> bytes:
    rows = [
        {
            "id": name,
            "prompt": f"Question {name}?",
            "responses": [{"id": f"r{k}", "text": f"{k}"} for k in range(1, 5)],
        }
        for name in ids
    ]
    return "\n".join(map(json.dumps, rows)).encode()


@pytest.fixture
def done(project: Project, admin: Membership) -> PromptImport:
    """Four prompts from one import, and another one from before."""
    import_prompts(project, io.BytesIO(lines("before")))
    import_prompts(project, io.BytesIO(lines("a", "b", "c", "d")), user=admin.user)
    return PromptImport.objects.latest("pk")


def left() -> list[str]:
    return list(Prompt.objects.order_by("pk").values_list("external_id", flat=True))


def test_an_import_is_kept_with_who_what_and_how_much(
    project: Project, admin: Membership, tmp_path: Path
) -> None:
    path = tmp_path / "tides.jsonl"
    path.write_bytes(lines("a", "b"))
    with path.open("rb") as file:
        import_prompts(project, file, user=admin.user)
    path.write_bytes(lines("a", "b", "c"))
    with path.open("rb") as file:
        import_prompts(project, file)
    first, second = PromptImport.objects.order_by("pk")
    assert (first.file_name, first.created_by) == ("tides.jsonl", admin.user)
    assert (first.imported, first.unchanged, first.refused) == (2, 0, 0)
    assert (second.imported, second.unchanged, second.created_by) == (1, 2, None)
    assert Prompt.objects.get(external_id="c").came_with == second


def test_an_import_that_adds_nothing_is_not_kept(
    project: Project, done: PromptImport
) -> None:
    import_prompts(project, io.BytesIO(lines("a", "b")))
    assert PromptImport.objects.latest("pk") == done


def test_what_nobody_was_shown_goes_and_the_rest_is_taken_out(
    project: Project, done: PromptImport, alice: Membership, admin: Membership
) -> None:
    a, _, c, d = Prompt.objects.filter(came_with=done).order_by("pk")
    store_ranking(a, alice, RANKS)
    reject_prompt(c, reason="A double.")
    Assignment.objects.filter(prompt__in=[c, d], slot=1).delete()
    foreseen = plan(done)
    assert foreseen == Undoing(removed=2, taken_out=1, out_already=1)
    assert left() == ["before", "a", "b", "c", "d"]  # the plan changes nothing

    assert undo(done, user=admin.user) == foreseen

    assert left() == ["before", "a", "c"]
    assert Response.objects.filter(prompt__external_id="a").count() == 4
    a.refresh_from_db()
    assert a.rejection.reason == "Its import was undone."
    assert Ranking.objects.count() == 1
    open_rows = Assignment.objects.filter(state="open")
    assert set(open_rows.values_list("prompt__external_id", flat=True)) == {"before"}
    done.refresh_from_db()
    assert (done.removed, done.taken_out) == (2, 1)
    undone = changes_of(project, kind="import")[0][0]
    assert (undone.deed, undone.differences[0].after) == ("undone", "2")


def test_once_more_changes_nothing(done: PromptImport) -> None:
    assert undo(done, user=None) == Undoing(removed=4, taken_out=0, out_already=0)
    assert undo(done, user=None) is None
    assert left() == ["before"]


def test_the_same_file_can_be_imported_again(
    project: Project, done: PromptImport
) -> None:
    undo(done, user=None)
    report = import_prompts(project, io.BytesIO(lines("a", "b", "c", "d")))
    assert (report.imported, report.unchanged) == (4, 0)


def test_without_an_undone_import_nothing_may_go(done: PromptImport) -> None:
    Assignment.objects.all().delete()
    for rows in (Response.objects.all(), Prompt.objects.filter(external_id="before")):
        with pytest.raises(DatabaseError):
            rows.delete()


def test_it_waits_for_the_sampling_of_responses(
    project: Project, done: PromptImport
) -> None:
    GenerationRun.objects.create(project=project, settings={})
    with pytest.raises(UndoRefusedError, match="Nothing was undone"):
        undo(done, user=None)
    done.refresh_from_db()
    assert done.undone_at is None
    assert len(left()) == 5


def test_the_page_tells_first_and_then_does_it(
    project: Project, done: PromptImport, admin: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    address = f"/p/tides/imports/{done.pk}/undo/"
    assert b"removes 4 prompts" in browser.get(address).content
    assert len(left()) == 5
    told = browser.post(address, follow=True).content.decode()
    assert "Prompts removed: 4." in told
    assert "undone" in told
    assert b"Undone" in browser.get(address).content
    assert "Nothing changed" in browser.post(address, follow=True).content.decode()


# --- Races ------------------------------------------------------------------------


def claim_in_between(
    done: PromptImport, labeler: Membership, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Assignment | None]:
    """A claim that begins after the undo has looked for what nobody was shown."""
    look, claims = undo_import.look, []
    Prompt.objects.get(external_id="before").assignment_set.all().delete()
    Membership.objects.filter(pk=labeler.pk).update(
        qualification=Qualification.PASSED,
        qualification_decided_at="2026-11-21T00:00Z",
    )
    with ThreadPoolExecutor(1) as threads:

        def look_and_let_them_claim(locked: PromptImport) -> list[int]:
            found = look(locked)
            claims.append(started(threads, lambda: claim(labeler)))
            return found

        monkeypatch.setattr(undo_import, "look", look_and_let_them_claim)
        outcome = undo(done, user=None)
        return outcome, claims[0].result(timeout=SECONDS)


def test_a_claim_during_the_undo_waits_and_gets_nothing_of_it(
    done: PromptImport, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, claimed = claim_in_between(done, alice, monkeypatch)
    assert outcome == Undoing(removed=4, taken_out=0, out_already=0)
    assert claimed is None
    assert left() == ["before"]


def test_control_without_the_labelers_lock_the_undo_meets_a_reader(
    done: PromptImport, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_import, "lock_labelers", lambda done: None)
    with pytest.raises(IntegrityError, match="never changes"):
        claim_in_between(done, alice, monkeypatch)
    assert len(left()) == 5


def test_a_claim_before_the_undo_keeps_its_prompt(
    done: PromptImport, alice: Membership
) -> None:
    Assignment.objects.filter(prompt__external_id="before").delete()
    held = claim(alice)
    assert held is not None
    outcome = undo(done, user=None)
    assert outcome == Undoing(removed=3, taken_out=1, out_already=0)
    assert Assignment.objects.filter(pk=held.pk, state="claimed").exists()


def test_two_undoings_at_once_are_one(done: PromptImport) -> None:
    assert (
        meanwhile(lambda: undo(done, user=None), lambda: undo(done, user=None)) is None
    )
    assert left() == ["before"]
