"""The ranking page in the windows that `make test` does not open: wide and narrow ones,
zoomed, dark, a phone, and colours that the system forces on it."""

import pytest

from annotation.models import Membership, Project
from tests.e2e.conftest import Visitor, visit
from tests.e2e.test_rank_page_for_everybody import (
    Step,
    can_be_begun_and_ended,
    can_be_mended,
    can_be_ranked,
    can_be_read_without_script,
)

__all__ = ["visit"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.timeout(600),
]

RANKED = (
    *("wide", "phone", "narrow", "zoomed", "dark", "forced"),
    *("desktop 4", "dark-phone 4"),
)


@pytest.mark.parametrize(
    ("step", "window"),
    [
        *((can_be_ranked, window) for window in RANKED),
        *(
            (can_be_mended, window)
            for window in ("desktop", "phone", "zoomed", "dark", "forced")
        ),
        *((can_be_read_without_script, window) for window in ("phone", "dark")),
        *((can_be_begun_and_ended, window) for window in ("phone", "dark")),
    ],
)
def test_nobody_is_kept_from_ranking(
    project: Project, alice: Membership, visit: Visitor, step: Step, window: str
) -> None:
    step(project, alice, visit, window)
