"""One strict JSON reader for the API and for imported files."""

from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """Placeholder until the reader is written."""
