"""What the site starts with, and what it refuses to start with."""

import ast
import os
import re
import runpy
import secrets
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from environs import EnvError

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "annotation" / "settings.py"
# The tests' own switch for Playwright, which the deploy check rightly refuses.
INHERITED = {
    name: value
    for name, value in os.environ.items()
    if name != "DJANGO_ALLOW_ASYNC_UNSAFE"
}
SITE = {**INHERITED, "DJANGO_SETTINGS_MODULE": "annotation.settings"}
PRODUCTION = {
    "SITE_URL": "https://rankwell.example.org",
    "SECRET_KEY": secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": "rankwell.example.org",
    "DATABASE_URL": "postgres://rankwell:pw@127.0.0.1:1/rankwell",
    "REDIS_URL": "redis://:pw@127.0.0.1:1/0",
    "DEBUG": "off",
    "BEHIND_PROXY": "off",
}


def manage(
    *arguments: str, var_dir: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A management command; a name given here wins over the machine's."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**SITE, "VAR_DIR": str(var_dir), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """The settings that a process with this environment would have."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(SETTINGS))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "too-short"),
        ("SECRET_KEY", "aaaaaaaaab" * 6),
        ("SECRET_KEY", "django-insecure-" + "what+startproject=writes_0123456789" * 2),
        ("SECRET_KEY", "insecure-loopback-only-" * 3),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", " , "),
        ("ALLOWED_HOSTS", "*"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "sqlite:///rankwell.db"),
        ("DATABASE_URL", "nonsense"),
        ("REDIS_URL", ""),
        ("DEBUG", "on"),
        ("DEBUG", "perhaps"),
        ("SITE_URL", "http://rankwell.example.org"),
        ("SITE_URL", "rankwell.example.org"),
    ],
)
def test_production_does_not_load_without_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises((ImproperlyConfigured, EnvError), match=name) as refusal:
        load(monkeypatch, **{**PRODUCTION, name: value})
    assert len(value) < 40 or value not in str(refusal.value), "it shows a secret"


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL"])
def test_a_command_tells_in_one_line_which_setting_is_missing(
    tmp_path: Path, name: str
) -> None:
    result = manage("check", var_dir=tmp_path, **{**PRODUCTION, name: ""})
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert f"{name} must be set when SITE_URL is https" in line


def test_no_process_of_production_starts_without_a_key() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import annotation.wsgi"],
        cwd=ROOT,
        env={**SITE, **PRODUCTION, "SECRET_KEY": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "SECRET_KEY must be set" in result.stderr.splitlines()[-1]


def test_the_deploy_check_has_nothing_to_say_about_production(tmp_path: Path) -> None:
    result = manage(
        *("check", "--deploy", "--fail-level", "WARNING"),
        var_dir=tmp_path,
        **PRODUCTION,
    )
    assert result.stderr == ""
    assert "no issues" in result.stdout
    assert result.returncode == 0


@pytest.mark.parametrize(
    "url", ["redis://broker.example.org/0", "redis://127.0.0.1:6379/0"]
)
def test_the_deploy_check_wants_a_password_at_the_broker(
    tmp_path: Path, url: str
) -> None:
    result = manage(
        *("check", "--deploy", "--fail-level", "WARNING"),
        var_dir=tmp_path,
        **{**PRODUCTION, "REDIS_URL": url},
    )
    assert result.returncode == 1
    assert "rankwell.W001" in result.stderr


def test_a_database_that_is_not_there_costs_one_line_and_starts_none_of_ours(
    tmp_path: Path,
) -> None:
    result = manage("migrate", var_dir=tmp_path / "var", **PRODUCTION)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("OperationalError: ")
    assert "pw" not in line
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_of_the_two_servers_the_one_without_an_address_is_ours(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    urls = {"DATABASE_URL": "", "REDIS_URL": "", name: PRODUCTION[name]}
    site = load(monkeypatch, SITE_URL="", **urls)
    own_postgres, own_valkey = name == "REDIS_URL", name == "DATABASE_URL"
    assert site["EMBEDDED_POSTGRES"] is own_postgres
    assert site["EMBEDDED_VALKEY"] is own_valkey
    engine = site["DATABASES"]["default"]["ENGINE"]
    assert (engine == "annotation.embedded") is own_postgres
    assert site["CELERY_BROKER_URL"].startswith("redis+socket://") is own_valkey


def test_production_cookies_and_redirects_are_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = load(monkeypatch, **PRODUCTION)
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT"):
        assert site[name] is True
    assert site["SECURE_HSTS_SECONDS"] == 31_536_000
    assert site["SESSION_COOKIE_SAMESITE"] == "Lax"
    assert site["DEBUG"] is False


def test_forwarded_headers_count_only_behind_a_proxy_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = load(monkeypatch, **PRODUCTION)
    assert bare["SECURE_PROXY_SSL_HEADER"] is None
    assert bare["REST_FRAMEWORK"]["NUM_PROXIES"] == 0
    proxied = load(monkeypatch, **{**PRODUCTION, "BEHIND_PROXY": "on"})
    assert proxied["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert proxied["REST_FRAMEWORK"]["NUM_PROXIES"] == 1
    assert proxied["ALLAUTH_TRUSTED_PROXY_COUNT"] == 1


def test_passwords_are_hashed_with_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(monkeypatch)["PASSWORD_HASHERS"][0]
    assert first == "django.contrib.auth.hashers.Argon2PasswordHasher"


def test_without_an_address_for_letters_none_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "dummy" in load(monkeypatch, EMAIL_URL="")["EMAIL_BACKEND"]
    mailing = load(monkeypatch, EMAIL_URL="smtp://mail.example.org:25")
    assert "smtp" in mailing["EMAIL_BACKEND"]
    assert mailing["EMAIL_HOST"] == "mail.example.org"


def names_read() -> set[str]:
    """Names that the settings take from the environment, found in their source."""
    found = set()
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first = node.args[0]
        reads = re.fullmatch(r"env\.\w+|_needed_in_production", ast.unparse(node.func))
        if reads and isinstance(first, ast.Constant):
            found.add(str(first.value))
    return found


def test_the_example_lists_every_setting_with_a_comment_and_no_other() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    listed = [
        line.partition("=")[0] for line in lines if re.match(r"[A-Z0-9_]+=", line)
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == names_read()
    for above, line in pairwise(lines):
        if re.match(r"[A-Z0-9_]+=", line):
            assert above.startswith("#"), f"{line} has no comment"


def test_only_the_settings_read_the_environment() -> None:
    """`os.environ` elsewhere would be a setting that nobody can find."""
    # These name the settings module, hand the environment to their children, or are
    # told by accelerate's launcher which of its processes they are.
    allowed = {"celery.py", "wsgi.py", "settings.py", "demo.py", "processes.py"}
    strays = [
        str(path.relative_to(ROOT))
        for room in ("annotation", "ranking", "rm_training")
        for path in (ROOT / room).rglob("*.py")
        if path.name not in allowed and "os.environ" in path.read_text()
    ]
    assert strays == []
