"""A labeler is forgotten: nobody can tell who they were, and their ranks count on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from axes.models import AccessAttempt
from django.db import DatabaseError
from django.test import Client
from knox.models import AuthToken

from annotation import forgetting
from annotation.accounts import make_sign_in_link
from annotation.models import (
    Assignment,
    Membership,
    Project,
    Role,
    Session,
    SignInLink,
    User,
)
from annotation.queue import claim, lock_for_answer, skip
from annotation.reports import report_problem
from ranking.datasets import freeze
from ranking.drafts import save_draft
from ranking.export.choice import ExportRefused
from ranking.export.folder import write
from ranking.filters import Filters, rankings_that_count
from ranking.models import DatasetLoss, Draft, Placement, Ranking
from ranking.submit import Submission, submit
from ranking.takedown import forget
from tests.conftest import make_member, make_prompt
from tests.racing import meanwhile
from tests.ranking.rows import revise, store_ranking
from tests.ranking.test_takedown import LETTERS, RANKS, everything_stored

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[[Membership], Client]
NAME = "Wilhelmina Quist"


@pytest.fixture
def wilma(project: Project) -> Membership:
    """Somebody with a name that stands nowhere else."""
    member = make_member(project, "wilhelmina", Role.LABELER)
    Membership.objects.filter(pk=member.pk).update(name=NAME)
    member.refresh_from_db()
    return member


def test_no_table_holds_their_name_address_or_words(
    project: Project, wilma: Membership, signed_in: SignedIn
) -> None:
    assert wilma.user is not None
    browser = signed_in(wilma)
    AuthToken.objects.create(user=wilma.user)
    EmailAddress.objects.create(user=wilma.user, email=wilma.user.email)
    AccessAttempt.objects.create(username=wilma.user.email, failures_since_start=1)
    make_sign_in_link(wilma.user)
    for number in range(3):
        make_prompt(project, f"p{number}")
    said: dict[str, Any] = {"note": NAME, "telemetry": {"active_ms": 31_337_000}}
    store_ranking(make_prompt(project, "ranked"), wilma, RANKS, **said)
    held = claim(wilma)
    assert held is not None
    skip(membership=wilma, token=held.token, reason="other", text=f"{NAME} cannot")
    held = claim(wilma)
    assert held is not None
    report_problem(wilma, text=f"{NAME} sees nothing", about=held)
    save_draft(held, rev=0, content={"ranks": {}, "note": NAME})

    assert forget(wilma).is_new

    stored = everything_stored()
    for trace in (NAME, "wilhelmina", "31337000"):
        assert trace not in stored
    for table in (AuthToken, EmailAddress, AccessAttempt, SignInLink, Session, Draft):
        assert not table.objects.exists()
    account = User.objects.get(pk=wilma.user.pk)
    assert not account.is_active
    assert not account.has_usable_password()
    assert browser.get("/").status_code == 302  # to sign in
    assert browser.get("/p/tides/work/").status_code == 302


def test_ranks_stay_and_count_under_the_pseudonym_they_always_had(
    project: Project, wilma: Membership
) -> None:
    store_ranking(make_prompt(project), wilma, RANKS)
    before = list(Placement.objects.order_by("pk").values())
    pseudonym = project.pseudonym(wilma.pk)
    forget(wilma)
    assert list(Placement.objects.order_by("pk").values()) == before
    assert rankings_that_count(project, Filters()).count() == 1
    kept = Membership.objects.get(pk=wilma.pk)
    assert kept.name == f"Forgotten {pseudonym}"
    assert project.pseudonym(kept.pk) == pseudonym


def test_an_account_that_opens_more_is_only_cut_off(
    project: Project, wilma: Membership, stranger: Membership, signed_in: SignedIn
) -> None:
    Membership.objects.create(
        project=stranger.project, user=wilma.user, name="W.", role=Role.LABELER
    )
    browser = signed_in(wilma)
    forget(wilma)
    assert browser.get("/p/tides/work/").status_code == 404
    assert browser.get("/p/elsewhere/work/").status_code == 200
    assert User.objects.filter(email="wilhelmina@example.org", is_active=True).exists()


def test_what_they_hold_goes_to_others(
    project: Project, wilma: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    assert claim(wilma) is not None
    assert claim(bob) is None
    forget(wilma)
    assert claim(bob) is not None


def test_an_imported_labeler_is_forgotten_too(project: Project) -> None:
    imported = Membership.objects.create(project=project, name=NAME, role="labeler")
    store_ranking(make_prompt(project), imported, RANKS)
    assert forget(imported).is_new
    assert NAME not in everything_stored()


def test_datasets_are_marked_and_frozen_anew_without_the_notes(
    project: Project, wilma: Membership, tmp_path: Path
) -> None:
    store_ranking(make_prompt(project), wilma, RANKS, note=f"Yours, {NAME}")
    frozen = freeze(project)
    forget(wilma)
    loss = DatasetLoss.objects.get()
    assert (loss.dataset, loss.labeler_id) == (frozen, wilma.pk)
    with pytest.raises(ExportRefused, match="asked to be forgotten"):
        write(frozen, kind="rankings", out=tmp_path / "out")
    anew = freeze(project)
    assert anew.name != frozen.name
    assert anew.counts == frozen.counts
    write(anew, kind="rankings", out=tmp_path / "anew")
    assert NAME not in (tmp_path / "anew" / "rankings.jsonl").read_text()


def test_twice_changes_nothing_and_nobody_is_brought_back(
    project: Project, wilma: Membership
) -> None:
    account = wilma.user
    forget(wilma)
    since = Membership.objects.get(pk=wilma.pk).forgotten_at
    assert not forget(wilma).is_new
    kept = Membership.objects.get(pk=wilma.pk)
    assert kept.forgotten_at == since
    with pytest.raises(DatabaseError):
        Membership.objects.filter(pk=wilma.pk).update(user=account)


# --- Races ------------------------------------------------------------------------


def answer_during_the_forgetting(labeler: Membership) -> None:
    held = claim(labeler)
    assert held is not None
    mine = Submission(uuid=uuid4(), ranks=LETTERS, note=f"Yours, {NAME}")
    meanwhile(
        lambda: forgetting.erase_labeler(labeler),
        lambda: submit(membership=labeler, token=held.token, submission=mine),
    )


def test_an_answer_that_waits_for_the_forgetting_is_not_stored(
    project: Project, wilma: Membership
) -> None:
    make_prompt(project)
    with pytest.raises(Assignment.DoesNotExist):
        answer_during_the_forgetting(wilma)
    assert not Ranking.objects.exists()


def test_control_with_the_old_tokens_their_words_are_kept(
    project: Project, wilma: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "new_tokens", lambda rows: None)
    make_prompt(project)
    answer_during_the_forgetting(wilma)
    assert NAME in Ranking.objects.get().note


def test_an_answer_before_the_forgetting_keeps_its_ranks_and_loses_its_note(
    project: Project, wilma: Membership
) -> None:
    first = store_ranking(make_prompt(project), wilma, RANKS)

    def correct() -> None:
        """As submit does: with the assignment locked."""
        lock_for_answer(membership=wilma, token=first.assignment.token)
        revise(first, RANKS, note=f"Yours, {NAME}")

    assert meanwhile(correct, lambda: forget(wilma)).is_new
    assert [ranking.note for ranking in Ranking.objects.all()] == ["", ""]
