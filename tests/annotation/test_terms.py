"""Terms in versions, and who has agreed to which."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.models import Consent, Membership, Project, Role, Terms
from annotation.terms import (
    SupersededError,
    agree,
    current_terms,
    terms_to_agree_to,
    write_terms,
)
from tests.conftest import make_member

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
TERMS = "/p/tides/terms/"


@pytest.fixture
def terms(project: Project, admin: Membership) -> Terms:
    return write_terms(project, text="Keep it **private**.", user=admin.user)


def test_a_change_is_a_new_version_and_the_same_text_is_none(
    project: Project, terms: Terms
) -> None:
    assert write_terms(project, text=terms.text, user=None) == terms
    second = write_terms(project, text="Tell everybody.", user=None)
    assert (terms.version, second.version) == (1, 2)
    assert current_terms(project) == second
    assert Terms.objects.get(version=1).text == "Keep it **private**."


def test_without_terms_there_is_nothing_to_agree_to(alice: Membership) -> None:
    assert terms_to_agree_to(alice) is None


def test_each_new_version_is_asked_for_again(
    project: Project, alice: Membership, bob: Membership, terms: Terms
) -> None:
    assert terms_to_agree_to(alice) == terms
    agree(alice, version=1)
    assert terms_to_agree_to(alice) is None
    assert terms_to_agree_to(bob) == terms
    second = write_terms(project, text="New ones.", user=None)
    assert terms_to_agree_to(alice) == second


def test_agreeing_twice_keeps_the_first_moment(alice: Membership, terms: Terms) -> None:
    first = agree(alice, version=1)
    assert agree(alice, version=1) == first
    assert Consent.objects.get().given_at == first.given_at


def test_a_version_that_was_replaced_cannot_be_agreed_to(
    project: Project, alice: Membership, terms: Terms
) -> None:
    write_terms(project, text="New ones.", user=None)
    with pytest.raises(SupersededError, match="Version 2 is in force"):
        agree(alice, version=1)
    assert not Consent.objects.exists()


def test_the_database_keeps_consents_single(alice: Membership, terms: Terms) -> None:
    agree(alice, version=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Consent.objects.create(membership=alice, terms=terms)


def test_terms_of_another_project_are_not_ours(
    stranger: Membership, alice: Membership
) -> None:
    write_terms(stranger.project, text="Theirs.", user=None)
    assert terms_to_agree_to(alice) is None
    with pytest.raises(Terms.DoesNotExist):
        agree(alice, version=1)


# --- The page ---------------------------------------------------------------------


def test_a_labeler_reads_agrees_and_sees_when(
    alice: Membership, terms: Terms, signed_in: SignIn
) -> None:
    client = signed_in(alice)
    page = client.get(TERMS).content.decode()
    assert "<strong>private</strong>" in page
    assert "I have read this and agree" in page
    answer = client.post(f"{TERMS}agree/", {"version": "1"})
    assert answer["Location"] == "/p/tides/"
    consent = Consent.objects.get(membership=alice, terms=terms)
    page = client.get(TERMS).content.decode()
    assert "I have read this and agree" not in page
    assert f'Version 1, on <time datetime="{consent.given_at:%Y-%m-%dT%H:%M}' in page


def test_whoever_read_an_old_version_is_shown_the_new_one(
    project: Project, alice: Membership, terms: Terms, signed_in: SignIn
) -> None:
    client = signed_in(alice)
    client.get(TERMS)
    write_terms(project, text="Quite other terms.", user=None)
    answer = client.post(f"{TERMS}agree/", {"version": "1"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Version 2 is in force by now. Nothing was agreed to" in page
    assert "Quite other terms." in page
    assert not Consent.objects.exists()


@pytest.mark.parametrize("version", ["", "0", "2", "-1", "one", "1\0", "9" * 30])
def test_a_version_that_is_not_there_is_not_agreed_to(
    alice: Membership, terms: Terms, signed_in: SignIn, version: str
) -> None:
    answer = signed_in(alice).post(f"{TERMS}agree/", {"version": version})
    assert answer.status_code == 422
    assert "Nothing was agreed to" in answer.content.decode()
    assert not Consent.objects.exists()


def test_an_admin_writes_terms_and_sees_who_agreed(
    project: Project,
    admin: Membership,
    alice: Membership,
    bob: Membership,
    signed_in: SignIn,
) -> None:
    client = signed_in(admin)
    answer = client.post(f"{TERMS}new/", {"text": "First.\r\nLine"})
    assert answer["Location"] == TERMS
    written = Terms.objects.get()
    assert (written.text, written.created_by) == ("First.\nLine", admin.user)
    agree(alice, version=1)
    page = client.get(TERMS).content.decode()
    assert page.count("none yet") == 1
    assert "out of date" not in page
    client.post(f"{TERMS}new/", {"text": "Second."})
    page = client.get(TERMS).content.decode()
    assert page.count("out of date") == 1
    assert "I have read this and agree" not in page


@pytest.mark.parametrize("text", ["", " \n ", "a\0b"])
def test_terms_without_words_are_refused(
    admin: Membership, signed_in: SignIn, text: str
) -> None:
    answer = signed_in(admin).post(f"{TERMS}new/", {"text": text})
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    assert not Terms.objects.exists()


def test_no_labeler_sees_who_else_agreed(
    alice: Membership, bob: Membership, terms: Terms, signed_in: SignIn
) -> None:
    agree(bob, version=1)
    page = signed_in(alice).get(TERMS).content.decode()
    assert "bob" not in page
    assert "You are handed prompts once you have agreed" in page


def test_the_page_costs_the_same_for_any_number_of_labelers(
    project: Project,
    admin: Membership,
    terms: Terms,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(3):
        agree(make_member(project, f"l{number}", Role.LABELER), version=1)
    client = signed_in(admin)
    with django_assert_num_queries(6):
        client.get(TERMS)
