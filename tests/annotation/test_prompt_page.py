"""Admins see why prompts were skipped, take them out and put them back."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.models import (
    Assignment,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Role,
)
from annotation.queue import claim, reject_prompt, restore_prompt, skip
from tests.conftest import make_member, make_prompt

# Claims begin and end transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[Membership], Client]


def skip_next(labeler: Membership, reason: str, text: str = "") -> None:
    claimed = claim(labeler)
    assert claimed is not None
    skip(membership=labeler, token=claimed.token, reason=reason, text=text)


def address(prompt: Prompt, verb: str = "") -> str:
    return f"/p/tides/prompts/{prompt.pk}/{verb}"


def test_skips_are_shown_with_their_words_and_names(
    project: Project,
    alice: Membership,
    bob: Membership,
    admin: Membership,
    signed_in: SignIn,
) -> None:
    prompt = make_prompt(project, slots=3)
    skip_next(alice, "bad_prompt")
    skip_next(bob, "other", "Is it <b>German</b>?")
    page = signed_in(admin).get(address(prompt)).content.decode()
    assert "Is it &lt;b&gt;German&lt;/b&gt;?" in page
    assert "The prompt is bad" in page
    assert "alice" in page
    assert "bob" in page
    assert "1 of 2 labelers needed to take it out calls it bad" in page
    assert "Question p1?" in page


def test_an_admin_takes_a_prompt_out_and_puts_it_back(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    prompt = make_prompt(project)
    client = signed_in(admin)
    answer = client.post(address(prompt, "take-out/"), {"reason": "Contains a name."})
    assert answer["Location"] == address(prompt)
    rejection = PromptRejection.objects.get()
    assert (rejection.prompt, rejection.rejected_by) == (prompt, admin.user)
    assert claim(alice) is None
    page = client.get(address(prompt)).content.decode()
    assert "Contains a name." in page
    assert "Put it back" in page
    client.post(address(prompt, "restore/"))
    assert not PromptRejection.objects.exists()
    assert claim(alice) is not None
    assert "Take it out" in client.get(address(prompt)).content.decode()


def test_putting_back_what_was_not_out_says_so(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    prompt = make_prompt(project)
    page = signed_in(admin).post(address(prompt, "restore/"), follow=True)
    assert "The prompt was not out." in page.content.decode()
    assert Assignment.objects.filter(prompt=prompt).count() == 2


def test_votes_of_before_it_was_put_back_do_not_count(
    project: Project,
    alice: Membership,
    bob: Membership,
    admin: Membership,
    signed_in: SignIn,
) -> None:
    prompt = make_prompt(project, slots=3)
    skip_next(alice, "bad_prompt")
    reject_prompt(prompt, reason="On suspicion.", user=admin.user)
    restore_prompt(prompt)
    page = signed_in(admin).get(address(prompt)).content.decode()
    assert "0 of 2 labelers needed to take it out call it bad" in page
    skip_next(bob, "bad_prompt")
    page = signed_in(admin).get(address(prompt)).content.decode()
    assert "1 of 2 labelers needed to take it out calls it bad" in page


def test_two_votes_take_it_out_and_the_page_says_who_decided(
    project: Project,
    alice: Membership,
    bob: Membership,
    admin: Membership,
    signed_in: SignIn,
) -> None:
    prompt = make_prompt(project, slots=3)
    skip_next(alice, "bad_prompt")
    skip_next(bob, "bad_prompt")
    page = signed_in(admin).get(address(prompt)).content.decode()
    assert "2 labelers called the prompt bad." in page


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301, "a\0b"])
def test_a_prompt_is_not_taken_out_without_a_reason(
    project: Project, admin: Membership, signed_in: SignIn, reason: str
) -> None:
    prompt = make_prompt(project)
    answer = signed_in(admin).post(address(prompt, "take-out/"), {"reason": reason})
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    assert not PromptRejection.objects.exists()


@pytest.mark.parametrize("verb", ["", "take-out/", "restore/"])
def test_a_prompt_of_another_project_does_not_exist(
    project: Project, stranger: Membership, signed_in: SignIn, verb: str
) -> None:
    prompt = make_prompt(project)
    client = signed_in(stranger)
    path = f"/p/elsewhere/prompts/{prompt.pk}/{verb}"
    sent = {"reason": "Mischief."}
    answer = client.post(path, sent) if verb else client.get(path)
    assert answer.status_code == 404
    assert not PromptRejection.objects.exists()


# --- The list ---------------------------------------------------------------------


def test_the_list_narrows_to_what_was_skipped_or_taken_out(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    skipped = make_prompt(project, "was-skipped")
    skip_next(alice, "cannot_judge")
    out = make_prompt(project, "is-out")
    make_prompt(project, "is-fine")
    reject_prompt(out, reason="A duplicate.", user=admin.user)
    names = {"was-skipped", "is-out", "is-fine"}
    client = signed_in(admin)

    def listed(query: str) -> set[str]:
        page = client.get(f"/p/tides/prompts/{query}").content.decode()
        return {name for name in names if f">{name}</a>" in page}

    assert listed("") == names
    assert listed("?show=nonsense") == names
    assert listed("?show=skipped") == {"was-skipped"}
    assert listed("?show=out") == {"is-out"}
    assert listed(f"?show=out&before={out.pk}") == set()
    page = client.get("/p/tides/prompts/").content.decode()
    assert ">I cannot judge this: 1<" in page
    assert "A duplicate." in page
    assert f'href="{address(skipped)}"' in page


def test_the_page_costs_the_same_for_any_number_of_skips(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    prompt = make_prompt(project, slots=5)
    for number in range(4):
        skip_next(make_member(project, f"l{number}", Role.LABELER), "all_bad")
    client = signed_in(admin)
    with django_assert_num_queries(5):
        client.get(address(prompt))
