"""A prompt is taken down: its texts are nowhere, its ids and ranks are all there."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection

from annotation import takedown as texts
from annotation.changes import changes_of
from annotation.imports import import_prompts
from annotation.models import (
    TOMBSTONE,
    Assignment,
    Change,
    Membership,
    ProblemReport,
    Project,
    Prompt,
    PromptRejection,
    RenderedText,
    Response,
    Skip,
    Takedown,
)
from annotation.queue import (
    TakenDownError,
    claim,
    lock_for_answer,
    open_slots,
    restore_prompt,
    skip,
)
from annotation.rendered import html_of
from annotation.reports import report_problem
from ranking.datasets import NothingToFreeze, freeze
from ranking.drafts import save_draft
from ranking.export.choice import ExportRefused
from ranking.export.folder import write
from ranking.losses import export_folder
from ranking.models import (
    DatasetLoss,
    Draft,
    Placement,
    Ranking,
    RefusedSubmission,
)
from ranking.submit import Submission, submit
from ranking.takedown import take_down
from tests.conftest import make_prompt
from tests.racing import meanwhile
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db(transaction=True)
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
LETTERS = {"A": 1, "B": 2, "C": 2, "D": 3}
SECRET = "Jane Doe, 7 Hill Road"


@pytest.fixture
def secret(project: Project) -> Prompt:
    """A prompt whose texts must go, with two slots."""
    prompt = Prompt.objects.create(
        project=project,
        external_id="p1",
        messages=[{"role": "user", "content": f"Who is {SECRET}?"}],
        metadata={"from": SECRET},
        line_sha256="0" * 64,
        overlap=2,
    )
    for number in range(1, 5):
        Response.objects.create(
            prompt=prompt,
            external_id=f"r{number}",
            text=f"{number}: {SECRET}",
            params={"seed": SECRET},
            model="m",
        )
    open_slots([prompt])
    return prompt


def everything_stored() -> str:
    """Every row of every table of ours, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema ="
            " 'public' AND table_name ~ '^(annotation|ranking|rm_training)_'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        stored = []
        for table in tables:
            cursor.execute(
                f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t"
            )
            stored += [row[0] for row in cursor.fetchall()]
    return "\n".join(stored)


def refused(*changes: Callable[[], object]) -> None:
    """The database takes none of these."""
    for change in changes:
        with pytest.raises(DatabaseError):
            change()


def submission(note: str) -> Submission:
    return Submission(uuid=uuid4(), ranks=LETTERS, note=note)


def test_no_table_holds_the_text_any_more_and_ids_and_ranks_stay(
    project: Project, secret: Prompt, alice: Membership, bob: Membership
) -> None:
    ranked = store_ranking(secret, alice, RANKS, note=f"I know {SECRET}")
    RefusedSubmission.objects.create(
        assignment=ranked.assignment,
        submission_uuid=uuid4(),
        reason="twice",
        content={"note": SECRET},
    )
    held = claim(bob)
    assert held is not None
    report_problem(bob, text=f"This names {SECRET}", about=held)
    save_draft(held, rev=0, content={"ranks": {}, "note": SECRET})
    skip(membership=bob, token=held.token, reason="other", text=f"It is {SECRET}")
    html_of([f"1: {SECRET}", f"Who is {SECRET}?"])
    before = list(Placement.objects.order_by("pk").values())
    assert SECRET in everything_stored()

    assert take_down(secret, reason="A person is named.", user=None).is_new

    assert SECRET not in everything_stored()
    assert list(Placement.objects.order_by("pk").values()) == before
    kept = Prompt.objects.get()
    assert (kept.external_id, kept.messages[0]["content"]) == ("p1", TOMBSTONE)
    assert list(Response.objects.values_list("external_id", "text", "model")) == [
        (f"r{number}", TOMBSTONE, "m") for number in range(1, 5)
    ]
    assert not Draft.objects.exists()
    assert not RenderedText.objects.exists()
    assert ProblemReport.objects.get().text == TOMBSTONE
    assert Skip.objects.get().text == TOMBSTONE


def test_nobody_is_handed_it_and_who_holds_it_loses_it(
    secret: Prompt, alice: Membership, bob: Membership
) -> None:
    held = claim(alice)
    assert held is not None
    take_down(secret, reason="A person is named.", user=None)
    assert claim(alice) is None
    assert claim(bob) is None
    assert not Assignment.objects.filter(state__in=["open", "claimed"]).exists()
    with pytest.raises(Assignment.DoesNotExist):
        submit(membership=alice, token=held.token, submission=submission(SECRET))


def test_it_stays_out_and_stays_down(secret: Prompt) -> None:
    take_down(secret, reason="A person is named.", user=None)
    with pytest.raises(TakenDownError):
        restore_prompt(secret)
    refused(
        lambda: PromptRejection.objects.all().delete(),
        lambda: Takedown.objects.all().delete(),
        lambda: Takedown.objects.update(reason="Another."),
        lambda: Response.objects.update(text="Back again."),
        lambda: Prompt.objects.update(messages=[{"role": "user", "content": "Back"}]),
    )


def test_without_a_takedown_not_even_the_tombstone_replaces_a_text(
    project: Project, alice: Membership
) -> None:
    ranked = store_ranking(make_prompt(project), alice, RANKS, note="Close.")
    refused(
        lambda: Response.objects.update(text=TOMBSTONE, params={}),
        lambda: Prompt.objects.update(messages=texts.TOMBSTONE_MESSAGES),
        lambda: Ranking.objects.filter(pk=ranked.pk).update(note=""),
    )


def test_a_takedown_lets_no_rank_change(secret: Prompt, alice: Membership) -> None:
    store_ranking(secret, alice, RANKS, note="Close.")
    take_down(secret, reason="A person is named.", user=None)
    refused(
        lambda: Ranking.objects.update(note="Another."),
        lambda: Ranking.objects.update(note="", status="late"),
        lambda: Placement.objects.update(rank=1),
        lambda: Response.objects.update(external_id="r9"),
    )


def test_twice_changes_nothing_more(secret: Prompt, admin: Membership) -> None:
    assert take_down(secret, reason="A person is named.", user=admin.user).is_new
    changes = Change.objects.count()
    assert not take_down(secret, reason="Another reason.", user=None).is_new
    assert Takedown.objects.get().reason == "A person is named."
    assert Change.objects.count() == changes


def test_the_history_says_who_and_why_without_the_text(
    project: Project, secret: Prompt, admin: Membership
) -> None:
    take_down(secret, reason="A person is named.", user=admin.user)
    [out, down, *_] = changes_of(project)[0]
    assert (down.subject, down.deed, down.by) == (
        "p1",
        "taken down",
        "admin@example.org",
    )
    assert (out.deed, out.differences[0].after) == ("taken out", "Taken down.")


def test_datasets_are_marked_refused_and_their_files_removed(
    project: Project, secret: Prompt, alice: Membership, tmp_path: Path
) -> None:
    store_ranking(secret, alice, RANKS)
    other = make_prompt(project, "p2")
    store_ranking(other, alice, RANKS)
    both = freeze(project)
    folder = export_folder(both)
    write(both, kind="pairs", out=folder / "pairs")
    assert SECRET in (folder / "pairs" / "pairs.jsonl").read_text()

    [touched] = take_down(secret, reason="A person is named.", user=None).datasets

    assert (touched.dataset, touched.rankings) == (both, 1)
    assert DatasetLoss.objects.get().reason == "The prompt p1 was taken down."
    assert not folder.exists()
    with pytest.raises(ExportRefused, match=r"no longer reproducible: The prompt p1"):
        write(both, kind="pairs", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    left = freeze(project)
    assert left.counts["prompts"] == 1
    write(left, kind="rankings", out=tmp_path / "left")
    assert SECRET not in (tmp_path / "left" / "rankings.jsonl").read_text()


def test_nothing_is_left_to_freeze(
    project: Project, secret: Prompt, alice: Membership
) -> None:
    store_ranking(secret, alice, RANKS)
    take_down(secret, reason="A person is named.", user=None)
    with pytest.raises(NothingToFreeze):
        freeze(project)


def test_the_same_line_imported_again_does_not_bring_it_back(project: Project) -> None:
    responses = [{"id": f"r{k}", "text": f"{k}: {SECRET}"} for k in range(4)]
    line = {"id": "p1", "prompt": SECRET, "responses": responses}
    file = io.BytesIO(json.dumps(line).encode())
    import_prompts(project, file)
    take_down(Prompt.objects.get(), reason="A person is named.", user=None)
    file.seek(0)
    assert import_prompts(project, file).unchanged == 1
    assert SECRET not in everything_stored()


# --- Races ------------------------------------------------------------------------


def answer_during_a_takedown(prompt: Prompt, labeler: Membership) -> None:
    """The takedown is done but not committed when the answer comes."""
    held = claim(labeler)
    assert held is not None
    note = submission(f"It is {SECRET}")
    meanwhile(
        lambda: take_down(prompt, reason="A person is named.", user=None),
        lambda: submit(membership=labeler, token=held.token, submission=note),
    )


def test_an_answer_that_waits_for_the_takedown_is_not_stored(
    secret: Prompt, alice: Membership
) -> None:
    with pytest.raises(Assignment.DoesNotExist):
        answer_during_a_takedown(secret, alice)
    assert SECRET not in everything_stored()


def test_control_with_the_old_tokens_its_words_are_kept(
    secret: Prompt, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "new_tokens", lambda rows: None)
    answer_during_a_takedown(secret, alice)
    assert SECRET in everything_stored()


def test_an_answer_before_the_takedown_keeps_its_ranks_and_loses_its_note(
    secret: Prompt, alice: Membership
) -> None:
    first = store_ranking(secret, alice, RANKS)

    def correct() -> None:
        """As submit does: with the assignment locked."""
        lock_for_answer(membership=alice, token=first.assignment.token)
        revise(first, RANKS, note=f"It is {SECRET}")

    meanwhile(
        correct, lambda: take_down(secret, reason="A person is named.", user=None)
    )
    assert [ranking.note for ranking in Ranking.objects.all()] == ["", ""]
    assert Placement.objects.count() == 8
    assert SECRET not in everything_stored()


def test_two_takedowns_at_once_are_one(secret: Prompt) -> None:
    second = meanwhile(
        lambda: take_down(secret, reason="First.", user=None),
        lambda: take_down(secret, reason="Second.", user=None),
    )
    assert not second.is_new
    assert Takedown.objects.get().reason == "First."
