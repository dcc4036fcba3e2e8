"""Requests to the API of a site, and what its answers say. PURE."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from ranking.client.errors import UnavailableError, refuse

PATIENCE_SECONDS: Final = 60.0  # for one answer


class Connection:
    """Requests to a site for the owner of an API token."""

    def __init__(
        self,
        site: str,
        *,
        token: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{site.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Token {token}"},
            timeout=PATIENCE_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ask(self, method: str, address: str, **options: Any) -> Any:
        """The JSON of an answer. Raises ClientError, by what went wrong."""
        try:
            answer = self._http.request(method, address, **options)
        except httpx.HTTPError as error:
            raise UnavailableError(f"{address}: {error}") from error
        refuse(answer)
        return answer.json()

    def tell(self, method: str, address: str) -> None:
        """Ask for something whose answer says nothing. Raises ClientError."""
        try:
            refuse(self._http.request(method, address))
        except httpx.HTTPError as error:
            raise UnavailableError(f"{address}: {error}") from error

    def stream(self, address: str, headers: Mapping[str, str]) -> Any:
        """A streamed answer, as a context manager of httpx."""
        return self._http.stream("GET", address, headers=dict(headers))
