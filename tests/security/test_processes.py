"""What a web process loads, and what the API answers with by default (S27)."""

import subprocess
import sys
from pathlib import Path

from rest_framework.settings import api_settings

ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import sys
import annotation.wsgi
from django.urls import get_resolver
def visit(resolver):
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            visit(pattern)
visit(get_resolver())
heavy = {"torch", "transformers", "matplotlib.pyplot", "pandas"} & set(sys.modules)
assert not heavy, heavy
print("light")
"""


def test_a_web_process_loads_no_torch() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "light\n", result.stderr


def names(setting: str) -> list[str]:
    """Names of the classes that a setting of the API holds."""
    return [each.__name__ for each in getattr(api_settings, setting)]


def test_the_api_denies_by_default() -> None:
    assert names("DEFAULT_PERMISSION_CLASSES") == ["IsAuthenticated"]


def test_the_api_knows_tokens_and_sessions_but_no_basic_auth() -> None:
    assert names("DEFAULT_AUTHENTICATION_CLASSES") == [
        "ApiTokens",
        "SessionAuthentication",
    ]


def test_the_api_speaks_json_only() -> None:
    assert names("DEFAULT_RENDERER_CLASSES") == ["JSONRenderer"]
    assert names("DEFAULT_PARSER_CLASSES") == ["StrictJSONParser"]


def test_the_api_is_throttled() -> None:
    assert names("DEFAULT_THROTTLE_CLASSES") == [
        "AnonRateThrottle",
        "UserRateThrottle",
    ]
    assert all(api_settings.DEFAULT_THROTTLE_RATES[who] for who in ("anon", "user"))
    assert api_settings.NUM_PROXIES == 0, "a forged header would be a new client"
