"""S1 in full: every payload, on every page that shows what somebody wrote."""

from collections.abc import Sequence
from typing import Any

import pytest

from annotation.models import Membership, Project
from tests.e2e.aids import make_texts
from tests.e2e.conftest import Visit, visit
from tests.security.pages_of_texts import look_through
from tests.security.payloads import PAYLOADS
from tests.security.planted import K, plant
from tests.security.planted_everywhere import MOST_FLAGS, plant_everywhere
from tests.security.test_stored_scripts import (
    WORDS,
    compare_all,
    everybody,
    rank_through,
)

__all__ = ["everybody", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def in_parts(size: int) -> list[Sequence[str]]:
    """All payloads, so many at a time; the last part is filled up from before."""
    most = len(PAYLOADS) - size
    starts = range(0, len(PAYLOADS), size)
    return [PAYLOADS[min(start, most) :][:size] for start in starts]


def patient(window: Visit) -> Visit:
    """Beside much else on one machine a page may take its time."""
    window.page.set_default_timeout(120_000)
    return window


@pytest.mark.timeout(600)
def test_nothing_runs_on_any_ranking_page(
    project: Project, alice: Membership, visit: Any
) -> None:
    prompts = plant(project, PAYLOADS)
    window = patient(visit(alice))
    page = window.open(f"/p/{project.slug}/rank/")
    page.locator("main form button[type=submit]").first.click()
    rank_through(page, prompts, project.slug)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("payloads", in_parts(MOST_FLAGS), ids=lambda part: part[0])
def test_nothing_runs_on_any_page(
    project: Project,
    everybody: list[Membership],
    visit: Any,
    payloads: Sequence[str],
) -> None:
    """So many at a time as a project has flags, so that each is one too."""
    planted = plant_everywhere(project, everybody[0], payloads)
    for member in everybody:
        look_through(patient(visit(member)), member, planted)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("payloads", in_parts(K), ids=lambda part: part[0])
def test_nothing_runs_in_the_word_differences(
    project: Project, alice: Membership, visit: Any, payloads: Sequence[str]
) -> None:
    texts = [WORDS + payload + " " + WORDS for payload in payloads]
    make_texts(project, texts)
    compare_all(patient(visit(alice)), len(texts))
