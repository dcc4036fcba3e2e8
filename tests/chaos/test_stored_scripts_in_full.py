"""S1 in full: every payload, on the ranking page and on the pages of the others."""

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Membership, Project
from tests.e2e.conftest import Visit, visit
from tests.security.payloads import PAYLOADS
from tests.security.planted import plant, what_came_alive
from tests.security.test_stored_scripts import rank_through

__all__ = ["visit"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
@pytest.mark.parametrize("payload", PAYLOADS[::4])
def test_nothing_runs_where_names_and_titles_are_shown(
    project: Project, admin: Membership, alice: Membership, visit: Any, payload: str
) -> None:
    plant(project, [payload])
    Project.objects.filter(pk=project.pk).update(title=payload[:200])
    Membership.objects.filter(pk=alice.pk).update(name=payload[:200])
    window = patient(visit(admin))
    for name in ("project", "instructions", "prompts", "members", "agreement"):
        page = window.open(reverse(name, args=[project.slug]))
        assert what_came_alive(page) == [], name
