"""Admins set up their project; what makes no sense is refused in words."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Assignment, Membership, Project, Prompt, Purpose
from annotation.overlap import OVERLAP_LOCK
from annotation.project_settings import (
    Overlap,
    SettingsForm,
    overlap_after,
    overlap_now,
)
from annotation.queue import change_overlap, claim
from tests.conftest import make_prompt
from tests.ranking.checks import make_check

SignIn = Callable[[Membership], Client]
SETTINGS = "/p/tides/settings/"
OVERLAP = f"{SETTINGS}overlap/"


def sent(**changes: Any) -> dict[str, Any]:
    """What a browser sends; None leaves a field out, as an empty box does."""
    fields = {
        "title": "Tides and waves",
        "rate_first": "on",
        "flags": "fails the instruction\r\n\r\n  harmful \r\n",
        "lease_minutes": "45",
        "bad_prompt_votes": "3",
        "editable_rankings": "7",
        "editable_minutes": "90",
        "gold_fraction": "0.1",
        "repeat_fraction": "0.05",
        "labelers_see_agreement": "on",
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.django_db
def test_every_setting_is_stored_and_shown(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    client = signed_in(admin)
    answer = client.post(SETTINGS, sent())
    assert answer["Location"] == SETTINGS
    project.refresh_from_db()
    assert project.title == "Tides and waves"
    assert project.rate_first
    assert project.flags == ["fails the instruction", "harmful"]
    assert not project.show_word_counts
    assert (project.lease_minutes, project.bad_prompt_votes) == (45, 3)
    assert (project.editable_rankings, project.editable_minutes) == (7, 90)
    assert (project.gold_fraction, project.repeat_fraction) == (0.1, 0.05)
    assert project.labelers_see_agreement
    page = client.get(SETTINGS).content.decode()
    assert "fails the instruction\nharmful</textarea>" in page
    client.post(SETTINGS, sent(rate_first=None, flags=""))
    project.refresh_from_db()
    assert not project.rate_first
    assert project.flags == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "This field is required"),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"lease_minutes": "0"}, "greater than or equal to 1"),
        ({"lease_minutes": "1441"}, "less than or equal to 1440"),
        ({"bad_prompt_votes": "0"}, "greater than or equal to 1"),
        ({"editable_rankings": "51"}, "less than or equal to 50"),
        ({"editable_minutes": "-1"}, "greater than or equal to 0"),
        ({"gold_fraction": "0.51"}, "less than or equal to 0.5"),
        ({"gold_fraction": "inf"}, "Enter a number"),
        ({"repeat_fraction": ""}, "This field is required"),
        ({"gold_fraction": "0.3", "repeat_fraction": "0.3"}, "more than half"),
        ({"flags": "\n".join(f"flag {n}" for n in range(13))}, "There are 13 flags"),
        ({"flags": "y" * 61}, "at most 60"),
        ({"flags": "harmful\nHarmful"}, "A flag is there twice"),
        ({"flags": "bad\u200bflag"}, "printable"),
        ({"flags": "a\0b"}, "Null characters are not allowed"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    changes: dict[str, str],
    said: str,
) -> None:
    make_check(project, Purpose.QUALIFICATION)
    answer = signed_in(admin).post(SETTINGS, sent(**changes))
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page
    assert '<span class="project-title">Tides</span>' in page
    before = Project.objects.get(pk=project.pk)
    assert (before.title, before.lease_minutes, before.flags) == ("Tides", 30, [])


@pytest.mark.django_db
def test_saving_never_writes_what_the_queue_keeps_in_the_same_row(
    project: Project,
    admin: Membership,
    monkeypatch: pytest.MonkeyPatch,
    signed_in: SignIn,
) -> None:
    """The queue raises its version while an admin's form is being checked."""
    check = SettingsForm.is_valid

    def is_valid(form: SettingsForm) -> bool:
        Project.objects.filter(pk=project.pk).update(queue_version=77, overlap=9)
        return check(form)

    monkeypatch.setattr(SettingsForm, "is_valid", is_valid)
    assert signed_in(admin).post(SETTINGS, sent()).status_code == 302
    project.refresh_from_db()
    assert (project.queue_version, project.overlap) == (77, 9)
    assert project.title == "Tides and waves"


# --- Overlap ----------------------------------------------------------------------


def make_prompts(project: Project, number: int) -> None:
    for k in range(number):
        make_prompt(project, f"p{k}", slots=1)


@pytest.mark.django_db
def test_the_preview_changes_nothing_and_says_what_would(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    make_prompts(project, 10)
    answer = signed_in(admin).post(OVERLAP, {"overlap": "3", "fraction": "0.2"})
    assert answer.status_code == 200
    page = " ".join(answer.content.decode().split())
    cells = '<td class="number">0</td><td class="number">2</td>'
    assert f"Prompts with more than one labeler</th>{cells}" in page
    cells = '<td class="number">10</td><td class="number">14</td>'  # 2 · 3 + 8
    assert f"Rankings asked for</th>{cells}" in page
    project.refresh_from_db()
    assert (project.overlap, project.overlap_fraction) == (2, 1.0)
    assert Assignment.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_a_confirmed_change_opens_and_closes_slots(
    project: Project, admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    make_prompts(project, 10)
    client = signed_in(admin)
    wide = {"overlap": "3", "fraction": "0.2", "confirmed": "yes"}
    assert client.post(OVERLAP, wide)["Location"] == SETTINGS
    project.refresh_from_db()
    assert (project.overlap, project.overlap_fraction) == (3, 0.2)
    assert Assignment.objects.count() == 14
    assert Prompt.objects.filter(overlap=3).count() == 2
    assert claim(alice) is not None
    client.post(OVERLAP, {"overlap": "1", "fraction": "1", "confirmed": "yes"})
    assert Assignment.objects.count() == 10


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"overlap": "0", "fraction": "1"},
        {"overlap": "51", "fraction": "1"},
        {"overlap": "2.5", "fraction": "1"},
        {"overlap": "2", "fraction": "1.1"},
        {"overlap": "2", "fraction": "-0.1"},
        {"overlap": "2", "fraction": "nan"},
        {"overlap": "", "fraction": ""},
    ],
)
@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "yes"}])
def test_an_overlap_that_cannot_be_is_refused(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    wrong: dict[str, str],
    confirmed: dict[str, str],
) -> None:
    make_prompts(project, 2)
    answer = signed_in(admin).post(OVERLAP, wrong | confirmed)
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    assert b"What would change" not in answer.content
    project.refresh_from_db()
    assert (project.overlap, Assignment.objects.count()) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_during_an_import_the_admin_is_asked_to_wait(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    make_prompts(project, 2)
    importing = connection.copy()
    try:
        with importing.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_lock(%s, %s)", [OVERLAP_LOCK, project.pk]
            )
        sent_now = {"overlap": "3", "fraction": "1", "confirmed": "yes"}
        answer = signed_in(admin).post(OVERLAP, sent_now)
    finally:
        importing.close()
    assert answer.status_code == 409
    assert b"An import into this project is under way" in answer.content
    project.refresh_from_db()
    assert project.overlap == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("overlap", "fraction"), [(3, 0.25), (1, 1.0), (4, 1.0), (2, 0)]
)
def test_the_preview_is_what_the_change_leaves(
    project: Project, overlap: int, fraction: float
) -> None:
    make_prompts(project, 10)
    change_overlap(project, overlap=2, fraction=0.5)
    foreseen = overlap_after(overlap_now(project), overlap=overlap, fraction=fraction)
    change_overlap(project, overlap=overlap, fraction=fraction)
    assert overlap_now(project) == foreseen
    assert Assignment.objects.count() == foreseen.rankings


@given(
    prompts=st.integers(0, 1_000_000),
    overlap=st.integers(1, 50),
    fraction=st.floats(0, 1),
)
def test_every_prompt_keeps_one_labeler_and_none_gets_more_than_the_overlap(
    prompts: int, overlap: int, fraction: float
) -> None:
    after = overlap_after(
        Overlap(prompts, 0, prompts), overlap=overlap, fraction=fraction
    )
    assert prompts <= after.rankings <= prompts * overlap
    assert (after.rankings - prompts) == after.overlapping * (overlap - 1)


@pytest.mark.django_db
def test_the_page_asks_the_database_little(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    django_assert_num_queries: Any,
) -> None:
    make_prompts(project, 3)
    client = signed_in(admin)
    with django_assert_num_queries(4):
        client.get(SETTINGS)
