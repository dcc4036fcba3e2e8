"""Every page of the site on a phone, full and empty: `tests/e2e/test_all_pages.py`."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.e2e.test_all_pages import a_model_on_offer, walk, window_of
from tests.test_access_matrix import Cast, cast

__all__ = ["a_model_on_offer", "cast", "window_of"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", ["full", "empty"])
def test_nobody_is_kept_from_any_page_on_a_phone(
    cast: Cast, window_of: Callable[..., Page], state: str
) -> None:
    walk(cast, window_of, window="phone", state=state)
