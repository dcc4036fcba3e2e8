"""Getting into a project's pages, and being sent to sign in first."""

import pytest
from django.test import Client

from annotation.models import Project

pytestmark = pytest.mark.django_db


def test_a_signed_out_person_comes_back_to_the_page_after_signing_in(
    project: Project, client: Client
) -> None:
    answer = client.get("/p/tides/agreement/?k=4")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/p/tides/agreement/%3Fk%3D4"


def test_a_part_of_a_page_that_refreshes_itself_sends_the_whole_page_to_sign_in(
    project: Project, client: Client
) -> None:
    address = "/p/tides/generation/progress/"
    answer = client.get(address, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "/accounts/login/"
    assert answer.content == b""
