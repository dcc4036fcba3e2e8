"""How the API reads what it is sent."""

from collections.abc import Mapping
from typing import IO, Any, Final

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from annotation.strict_json import Refused, read_json

MOST_BYTES: Final = 8 * 2**20


class BodyTooLarge(APIException):
    """413: more than any call of ours needs."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {MOST_BYTES} bytes."
    default_code = "body_too_large"


class StrictJSONParser(BaseParser):
    """JSON as `annotation.strict_json` reads it; anything else is a 400."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body's value. Raises ParseError (400) or BodyTooLarge (413)."""
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise BodyTooLarge()
        try:
            return read_json(body)
        except Refused as error:
            raise ParseError(str(error), code=error.code) from error
