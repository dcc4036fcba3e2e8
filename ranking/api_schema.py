"""The OpenAPI schema of the API, and what it says about tokens."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.views import SpectacularJSONAPIView

from annotation.api_tokens import ApiTokens

schema = SpectacularJSONAPIView.as_view()


class ApiTokensScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Token …`."""

    target_class = ApiTokens
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """As OpenAPI writes it."""
        return build_bearer_security_scheme_object("Authorization", "Token")
