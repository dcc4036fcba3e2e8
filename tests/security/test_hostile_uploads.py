"""Files and forms made to do harm are refused, and the next file is read (S23)."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from annotation.models import Membership, Project, Prompt
from ranking.file_imports import run
from ranking.foreign.formats import FORMATS
from ranking.models.file_imports import SHAPES, FileImport

pytestmark = pytest.mark.django_db
PAGE, API = "/p/tides/files/", "/api/v1/projects/tides/imports"
GOOD = b'{"id": "good", "prompt": "Why?"}'


def zip_of(name: str, content: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, content)
    return raw.getvalue()


@cache
def million_keys() -> bytes:
    return json.dumps(dict.fromkeys(map(str, range(1_000_000)))).encode()


# Made where they are read: this file is also read to look for its tests.
LINES: dict[str, tuple[Callable[[], bytes], str]] = {
    "100,000 deep": (lambda: b"[" * 100_000, "too_deep"),
    "100,000 deep in objects": (lambda: b'{"a":' * 100_000, "too_deep"),
    "a million keys": (million_keys, "too_many_keys"),
    "5,000 digits": (lambda: b'{"id": ' + b"9" * 5_000 + b"}", "number_too_large"),
    "a line of 30 MB": (lambda: b"x" * 30_000_000, "text_too_long"),
}


@pytest.fixture
def browser(
    project: Project, admin: Membership, settings: Settings, tmp_path: Path
) -> Client:
    settings.VAR_DIR = tmp_path
    client = Client()
    assert admin.user is not None
    client.force_login(
        admin.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    return client


def looked_at(browser: Client, raw: bytes, shape: str = "prompts") -> FileImport:
    sent = SimpleUploadedFile("x.jsonl", raw)
    assert browser.post(PAGE, {"shape": shape, "file": sent}).status_code == 302
    job = FileImport.objects.latest("pk")
    run(job.pk, worker="here")
    job.refresh_from_db()
    assert browser.get(f"{PAGE}{job.pk}/").status_code == 200
    return job


@pytest.mark.parametrize("what", LINES)
def test_a_hostile_line_is_refused_and_the_next_one_read(
    browser: Client, what: str
) -> None:
    hostile, code = LINES[what]
    job = looked_at(browser, hostile() + b"\n" + GOOD)
    assert (job.state, job.imported, job.refused) == ("done", 1, 1)
    assert job.problems[0]["code"] == code
    assert len(job.problems[0]["message"]) < 300


@pytest.mark.parametrize("what", LINES)
@pytest.mark.parametrize("shape", sorted(FORMATS))
def test_no_reader_of_other_tools_breaks_of_it(
    browser: Client, what: str, shape: str
) -> None:
    job = looked_at(browser, LINES[what][0](), shape)
    assert job.state in ("done", "failed")
    assert not job.reason.startswith(("RecursionError", "MemoryError", "Overflow"))
    assert job.imported == 0


def test_files_that_are_all_air_or_no_text_are_refused(browser: Client) -> None:
    bomb = gzip.compress(bytes(150_000_000), 9)
    assert "200 times its size" in looked_at(browser, bomb).reason
    nested = zip_of("a.zip", zip_of("b.zip", zip_of("c", bytes(10_000_000))))
    for shape in SHAPES:
        job = looked_at(browser, nested, shape)
        assert (job.state == "failed", job.imported) in ((True, 0), (False, 0))
    twice = looked_at(browser, gzip.compress(gzip.compress(GOOD)))
    assert (twice.imported, twice.refused > 0) == (0, True)


def test_a_form_of_a_hundred_thousand_fields_is_refused(browser: Client) -> None:
    fields: dict[str, Any] = {f"f{n}": "" for n in range(100_000)}
    for address in (PAGE, f"{API}?what=prompts", "/accounts/login/"):
        sent = {**fields, "file": SimpleUploadedFile("x", GOOD)}
        assert browser.post(address, sent).status_code == 400
    assert not FileImport.objects.exists()
    assert looked_at(browser, GOOD).imported == 1
    assert not Prompt.objects.exists()
