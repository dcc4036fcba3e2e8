"""Every page of the site as everybody who may open it: at a desk, and on a phone full
and empty. `tests/e2e/test_all_pages.py` looks at each page once."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.e2e.test_all_pages import a_model_on_offer, walk, window_of
from tests.test_access_matrix import Cast, cast

__all__ = ["a_model_on_offer", "cast", "window_of"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("window", "state"), [("desk", "full"), ("phone", "full"), ("phone", "empty")]
)
def test_nobody_is_kept_from_any_page(
    cast: Cast, window_of: Callable[..., Page], window: str, state: str
) -> None:
    walk(cast, window_of, window=window, state=state)
