"""A ranking is judged by what its page asked for, whatever changed since."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from annotation.models import Membership, Project
from ranking.asked import Asked, asked, seal
from ranking.models import Placement, Ranking
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db
TOKEN = "the-token-of-a-page"
TIERS = {f"tier_{letter}": "1" for letter in "ABCD"}


def follows(project: Project, **settings: Any) -> None:
    for name, value in settings.items():
        setattr(project, name, value)
    project.save(update_fields=list(settings))


@pytest.mark.parametrize(
    ("then", "now", "wanted"), [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)]
)
def test_ratings_are_wanted_if_they_were_and_still_are(
    project: Project, then: int, now: int, wanted: int
) -> None:
    follows(project, rate_first=bool(then))
    sealed = seal(project, TOKEN)
    follows(project, rate_first=bool(now))
    assert asked(project, TOKEN, sealed).ratings == bool(wanted)


def test_flags_of_then_and_of_now_may_be_set(project: Project) -> None:
    follows(project, flags=["rude", "wrong"])
    sealed = seal(project, TOKEN)
    follows(project, flags=["wrong", "harmful"])
    flags = asked(project, TOKEN, sealed).flags
    assert set(flags) == {"rude", "wrong", "harmful"}


@pytest.mark.parametrize("broken", ["", "x:y", "{}", "{}x"])
def test_a_seal_that_is_broken_says_nothing(project: Project, broken: str) -> None:
    follows(project, flags=["rude"])
    sealed = broken.format(seal(project, TOKEN).upper())
    follows(project, flags=["wrong"], rate_first=True)
    assert asked(project, TOKEN, sealed) == Asked(flags=["wrong"], ratings=True)


def test_a_seal_is_of_use_for_its_own_page_only(project: Project) -> None:
    sealed = seal(project, "another-page")
    follows(project, rate_first=True)
    assert asked(project, TOKEN, sealed).ratings


def test_the_longest_seal_is_read(project: Project) -> None:
    flags = [f"{number:02}{'🦆' * 58}" for number in range(12)]
    follows(project, flags=flags)
    sealed = seal(project, TOKEN)
    follows(project, flags=[])
    assert set(asked(project, TOKEN, sealed).flags) == set(flags)


# --- Through the page and the API -------------------------------------------------


def page_with_flags(project: Project, her: Client) -> tuple[str, str]:
    """The address of a page on which responses can be rude, and its seal."""
    follows(project, flags=["rude"])
    make_prompt(project)
    address = str(her.post("/p/tides/rank/claim/")["Location"])
    html = her.get(address).content.decode()
    [sealed] = re.findall(r'name="submission_asked" value="([^"]+)"', html)
    follows(project, flags=[], rate_first=True)
    return address, sealed


def stored_flags() -> list[list[str]]:
    flags = Placement.objects.order_by("pk").values_list("flags", flat=True)
    return sorted(flags)


def test_a_ranking_that_was_right_on_its_page_is_stored(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    her = signed_in(alice)
    address, sealed = page_with_flags(project, her)
    form = {**TIERS, "flag_A": "rude", "submission_uuid": str(uuid4())}
    assert her.post(address, form).status_code == 422
    assert not Ranking.objects.exists()
    assert her.post(address, form | {"submission_asked": sealed}).status_code == 302
    assert stored_flags() == [[], [], [], ["rude"]]


def test_so_it_is_by_the_api(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    her = signed_in(alice)
    follows(project, flags=["rude"])
    make_prompt(project)
    claim = her.post("/api/v1/projects/tides/claim", {}, "application/json")
    given = claim.json()["assignment"]
    assert (given["flags"], given["rate_first"]) == (["rude"], False)
    follows(project, flags=[], rate_first=True)
    body: dict[str, Any] = {
        "ranks": dict.fromkeys("ABCD", 1),
        "flags": {"A": ["rude"]},
        "submission_uuid": given["submission_uuid"],
    }
    address = f"/api/v1/assignments/{given['token']}/submit"
    assert her.post(address, body, "application/json").status_code == 422
    body["submission_asked"] = given["submission_asked"]
    assert her.post(address, body, "application/json").status_code == 201
    assert stored_flags() == [[], [], [], ["rude"]]


def test_a_draft_may_carry_the_seal_as_pages_send_it(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    """The page's script sends all of its fields; the draft is what the person said."""
    her = signed_in(alice)
    address, sealed = page_with_flags(project, her)
    token = address.rstrip("/").rpartition("/")[2]
    body = {"rev": 0, "ranks": {"A": 1}, "submission_asked": sealed}
    saved = her.put(f"/api/v1/assignments/{token}/draft", body, "application/json")
    assert saved.json()["rev"] == 1
