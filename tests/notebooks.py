"""Members who come with the Python client, as from a notebook."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from knox.models import AuthToken

from annotation.models import Membership
from ranking.client import Client

Sign = Callable[[Membership], Client]


@pytest.fixture
def sign(live_server: Any) -> Iterator[Sign]:
    """`sign(researcher)` is a client with a token of theirs."""
    with ExitStack() as opened:

        def client_of(member: Membership) -> Client:
            _, token = AuthToken.objects.create(user=member.user)
            return opened.enter_context(Client(live_server.url, token=token))

        yield client_of
