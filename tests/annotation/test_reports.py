"""Labelers report problems; admins answer; nobody else hears of it."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.models import Assignment, Membership, ProblemReport, Project, Role
from annotation.reports import answer_report, report_problem
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
REPORTS = "/p/tides/reports/"
NEW = f"{REPORTS}new/"


def hold(labeler: Membership, external_id: str = "p1") -> Assignment:
    """An assignment that the labeler holds."""
    prompt = make_prompt(labeler.project, external_id, slots=1)
    [slot] = Assignment.objects.filter(prompt=prompt)
    Assignment.objects.filter(pk=slot.pk).update(labeler=labeler, state="completed")
    return slot


def answer_form(report: ProblemReport, answer: str, *, close: bool) -> dict[str, str]:
    """What an admin's browser sends."""
    sent = {f"{report.pk}-answer": answer}
    return sent | ({f"{report.pk}-close": "on"} if close else {})


def test_a_report_reaches_the_admin_with_its_name(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    answer = signed_in(alice).post(NEW, {"text": "Line 1\r\nThe page <b>froze</b>."})
    assert answer["Location"] == NEW
    report = ProblemReport.objects.get()
    assert (report.reporter, report.assignment) == (alice, None)
    assert report.project == alice.project
    page = signed_in(admin).get(REPORTS).content.decode()
    assert "The page &lt;b&gt;froze&lt;/b&gt;." in page
    assert "<strong>alice</strong>" in page


def test_a_report_can_name_the_prompt_it_came_from(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    held = hold(alice, "cut-off")
    address = f"{NEW}?about={held.token}"
    client = signed_in(alice)
    page = client.get(address).content.decode()
    assert "names the prompt that you came from" in page
    client.post(address, {"text": "Half of it is missing."})
    assert ProblemReport.objects.get().assignment == held
    page = signed_in(admin).get(REPORTS).content.decode()
    assert f'<a href="/p/tides/prompts/{held.prompt_id}/">cut-off</a>' in page
    assert "cut-off" not in client.get(NEW).content.decode()


@pytest.mark.parametrize("verb", ["get", "post"])
def test_nobody_reports_a_prompt_that_is_not_theirs(
    alice: Membership, bob: Membership, signed_in: SignIn, verb: str
) -> None:
    client = signed_in(alice)
    for token in (hold(bob).token, "no-such-token", "a\0b"):
        sent = {"text": "It is bad."}
        path = f"{NEW}?about={token.replace(chr(0), '%00')}"
        answer = client.post(path, sent) if verb == "post" else client.get(path)
        assert answer.status_code == 404
    assert not ProblemReport.objects.exists()


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 5_001, "a\0b"])
def test_a_report_without_words_or_without_end_is_refused_and_kept_on_the_page(
    alice: Membership, signed_in: SignIn, text: str
) -> None:
    answer = signed_in(alice).post(NEW, {"text": text})
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    if "\0" not in text:
        assert text.strip() in answer.content.decode()
    assert not ProblemReport.objects.exists()


def test_the_labeler_reads_the_answer(
    alice: Membership, bob: Membership, admin: Membership, signed_in: SignIn
) -> None:
    report = report_problem(alice, text="Too long.")
    report_problem(bob, text="A matter of bob's.")
    client = signed_in(admin)
    sent = answer_form(report, "We split them from today on.", close=True)
    assert client.post(f"{REPORTS}{report.pk}/answer/", sent)["Location"] == REPORTS
    report.refresh_from_db()
    assert report.closed_at is not None
    assert report.closed_by == admin.user
    page = signed_in(alice).get(NEW).content.decode()
    assert "We split them from today on." in page
    assert ">closed</span>" in page
    assert "bob" not in page
    assert "admin@example.org" not in page


def test_a_closed_report_can_be_opened_again(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    report = report_problem(alice, text="Too long.")
    assert admin.user is not None
    answer_report(report, answer="No.", close=True, user=admin.user)
    sent = answer_form(report, "We look into it.", close=False)
    signed_in(admin).post(f"{REPORTS}{report.pk}/answer/", sent)
    report.refresh_from_db()
    assert (report.closed_at, report.closed_by) == (None, None)
    assert report.answer == "We look into it."
    assert ">answered</span>" in signed_in(alice).get(NEW).content.decode()


def test_an_answer_without_end_is_refused_and_stays_on_the_page(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    report = report_problem(alice, text="Too long.")
    sent = answer_form(report, "y" * 5_001, close=True)
    answer = signed_in(admin).post(f"{REPORTS}{report.pk}/answer/", sent)
    assert answer.status_code == 422
    assert b"y" * 5_001 in answer.content
    report.refresh_from_db()
    assert (report.answer, report.closed_at) == ("", None)


def test_a_report_of_another_project_does_not_exist(
    stranger: Membership, alice: Membership, signed_in: SignIn
) -> None:
    report = report_problem(alice, text="Ours.")
    address = f"/p/elsewhere/reports/{report.pk}/answer/"
    sent = answer_form(report, "Theirs.", close=True)
    assert signed_in(stranger).post(address, sent).status_code == 404
    assert b"Ours." not in signed_in(stranger).get("/p/elsewhere/reports/").content


def test_open_reports_come_first_and_then_the_newest(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    texts = ["first open", "closed one", "second open"]
    reports = {text: report_problem(alice, text=text) for text in texts}
    client = signed_in(admin)
    closed = reports["closed one"]
    sent = answer_form(closed, "", close=True)
    client.post(f"{REPORTS}{closed.pk}/answer/", sent)
    page = client.get(REPORTS).content.decode()
    order = sorted(texts, key=page.index)
    assert order == ["second open", "first open", "closed one"]


def test_fifty_reports_fill_a_page(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    for number in range(51):
        report_problem(alice, text=f"Report number {number:02}.")
    client = signed_in(admin)
    assert client.get(REPORTS).content.decode().count("Report number") == 50
    assert "Report number 00." in client.get(f"{REPORTS}?page=2").content.decode()
    assert client.get(f"{REPORTS}?page=none").status_code == 200


def test_the_lists_cost_the_same_for_any_number_of_reports(
    project: Project,
    admin: Membership,
    alice: Membership,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    held = hold(alice)
    for number in range(3):
        report_problem(make_member(project, f"l{number}", Role.LABELER), text="Help.")
        report_problem(alice, text="Help.", about=held)
    for member, address in ((admin, REPORTS), (alice, NEW)):
        client = signed_in(member)
        with django_assert_num_queries(4):
            client.get(address)
