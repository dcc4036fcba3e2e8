"""How programs sign in to the API."""

from typing import Any

from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed


class ApiTokens(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """`Authorization: Token …`, of which only a hash is kept."""

    def authenticate_credentials(self, token: bytes) -> Any:
        """The owner; 401 for anything else, also for what no token of ours can be.

        Looked up as it is, a token with bytes that are no text would be a fault of
        the server's.
        """
        if not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)
