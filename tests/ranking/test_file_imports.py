"""A file is sent once: looked at by a worker, then imported, then gone."""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as site
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from annotation.body_limit import FORM_BYTES
from annotation.importing import ImportMode
from annotation.jobs import JobState
from annotation.models import Membership, Project, Prompt, PromptImport, Role
from ranking import file_imports, tasks
from ranking.file_imports import (
    FileTooLarge,
    ImportRefusedError,
    discard,
    forget_old_files,
    receive,
    run,
    start,
)
from ranking.models import Ranking
from ranking.models.file_imports import FileImport
from tests.conftest import make_member

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_place_of_its_own(settings: Settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path


@pytest.fixture
def archive(db: None) -> Project:
    return Project.objects.create(slug="old", title="Old", archive=True)


@pytest.fixture
def admin(archive: Project) -> Membership:
    return make_member(archive, "ada", Role.ADMIN)


@pytest.fixture
def browser(admin: Membership, client: Client) -> Client:
    assert admin.user is not None
    client.force_login(
        admin.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    return client


def pairs(*prompts: str, bad: int = 0) -> bytes:
    rows = [{"prompt": text, "chosen": "a", "rejected": "b"} for text in prompts]
    lines = [json.dumps(row).encode() for row in rows] + [b"{}"] * bad
    return b"".join(line + b"\n" for line in lines)


def sent(
    project: Project,
    raw: bytes,
    *,
    shape: str = "trl",
    mode: ImportMode = ImportMode.DRY_RUN,
    name: str = "pairs.jsonl",
) -> FileImport:
    return receive(
        project, [raw[:9], raw[9:]], shape=shape, file_name=name, mode=mode, user=None
    )


def worked(job: FileImport) -> FileImport:
    run(job.pk, worker="here")
    return FileImport.objects.get(pk=job.pk)


def test_a_file_is_looked_at_and_imported_without_being_sent_again(
    archive: Project,
) -> None:
    job = worked(sent(archive, gzip.compress(pairs("Why?", "How?"))))
    assert (job.state, job.counts["imported"], job.done) == ("done", 2, job.size)
    assert job.may_import
    assert not Prompt.objects.exists()
    start(job, mode=ImportMode.WHOLE)
    job = worked(job)
    assert (job.state, job.imported, job.is_here) == ("done", 2, False)
    assert Ranking.objects.count() == 2
    assert PromptImport.objects.get().file_name == "pairs.jsonl"
    assert not job.may_import


@pytest.mark.parametrize("shape", ["prompts", "rankings"])
def test_our_own_formats_go_the_same_way(archive: Project, shape: str) -> None:
    responses = [{"id": name, "text": name} for name in "ab"]
    prompt = {"id": "p1", "prompt": "Why?", "responses": responses}
    ranking = {"prompt_id": "p1", "labeler": "vera", "ranks": {"a": 1, "b": 2}}
    for one, line in (("prompts", prompt), ("rankings", ranking)):
        raw = json.dumps(line).encode()
        job = worked(sent(archive, raw, shape=one, mode=ImportMode.WHOLE))
        assert (job.state, job.imported) == ("done", 1)
        if one == shape:
            break
    assert Ranking.objects.exists() is (shape == "rankings")


def test_good_lines_may_be_imported_beside_bad_ones(archive: Project) -> None:
    job = worked(sent(archive, pairs("Why?", bad=1)))
    assert (job.imported, job.refused) == (1, 1)
    assert job.problems[0]["code"] == "missing_field"
    start(job, mode=ImportMode.WHOLE)
    job = worked(job)
    assert not Prompt.objects.exists()
    assert job.may_import
    start(job, mode=ImportMode.PARTIAL)
    assert worked(job).imported == 1
    assert Prompt.objects.count() == 1


def test_two_who_start_an_import_start_it_once(archive: Project) -> None:
    job = worked(sent(archive, pairs("Why?")))
    seen_by_both = FileImport.objects.get(pk=job.pk)
    start(job, mode=ImportMode.WHOLE)
    with pytest.raises(ImportRefusedError, match="started its import already"):
        start(seen_by_both, mode=ImportMode.WHOLE)


def test_a_broken_file_fails_with_what_is_wrong(archive: Project) -> None:
    job = worked(sent(archive, gzip.compress(pairs(*map(str, range(999))))[:-9]))
    assert job.state == JobState.FAILED
    assert "cut off or damaged" in job.reason
    bomb = sent(archive, gzip.compress(b" " * 200_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "UNPACKED_MAX_BYTES", 100_000)
        assert "unpacks to more than 100000 bytes" in worked(bomb).reason


def test_an_error_nobody_foresaw_fails_the_job_and_is_raised(
    archive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(archive, pairs("Why?"))
    monkeypatch.setattr(file_imports, "import_foreign", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(job.pk, worker="here")
    job.refresh_from_db()
    assert (job.state, job.reason) == ("failed", "ZeroDivisionError: division by zero")


def test_a_cancelled_import_stops_and_leaves_nothing(
    archive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(archive, pairs("Why?", "How?"), mode=ImportMode.WHOLE)
    told: list[int] = []

    def cancelled_at_the_end(self: FileImport, *args: Any, **fields: Any) -> None:
        FileImport.objects.get(pk=self.pk).cancel()
        told.append(self.pk)
        finish(self, *args, **fields)

    finish = FileImport.finish
    monkeypatch.setattr(FileImport, "finish", cancelled_at_the_end)
    run(job.pk, worker="here")
    assert told == [job.pk]
    assert not Prompt.objects.exists()
    assert not Ranking.objects.exists()


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/etc/passwd",
        "..\\..\\x",
        "a\0b",
        "x" * 300,
        "CON",
        "\u202egpj.exe",
        "",
        ".",
    ],
)
def test_a_file_lies_under_a_name_of_ours_whatever_it_was_called(
    archive: Project, name: str
) -> None:
    job = sent(archive, pairs("Why?"), name=name)
    root = Path(site.VAR_DIR) / "imports"
    assert job.path == root / job.stored_as.hex
    assert [path.name for path in root.iterdir()] == [job.stored_as.hex]
    shown = FileImport.objects.get(pk=job.pk).file_name
    assert len(shown) <= 200
    assert not set(shown) & set("/\\\0\u202e")


def test_too_large_a_file_leaves_nothing(archive: Project, settings: Settings) -> None:
    settings.UPLOAD_MAX_BYTES = 20
    with pytest.raises(FileTooLarge, match="larger than 20 bytes"):
        sent(archive, b"x" * 21)
    assert not FileImport.objects.exists()
    assert list((Path(site.VAR_DIR) / "imports").iterdir()) == []


def test_a_project_keeps_so_many_files_and_no_more(
    archive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_imports, "MOST_WAITING", 2)
    jobs = [sent(archive, pairs(str(number))) for number in range(2)]
    with pytest.raises(ImportRefusedError, match="wait to be imported"):
        sent(archive, pairs("Why?"))
    discard(jobs[0])
    assert not jobs[0].is_here
    assert FileImport.objects.get(pk=jobs[0].pk).state == "cancelled"
    sent(archive, pairs("Why?"))


def test_files_that_nobody_imported_go_after_a_week(archive: Project) -> None:
    old, new = (worked(sent(archive, pairs(text))) for text in ("Why?", "How?"))
    FileImport.objects.filter(pk=old.pk).update(queued_at="2020-01-01T00:00Z")
    tasks.forget_old_files()
    assert (old.is_here, new.is_here) == (False, True)
    assert forget_old_files() == 0


# --- Pages ------------------------------------------------------------------------


def test_an_admin_sends_a_file_reads_the_report_and_imports(browser: Client) -> None:
    file = SimpleUploadedFile("pairs.jsonl", pairs("Why?", bad=150))
    sent_off = browser.post("/p/old/files/", {"shape": "trl", "file": file})
    job = FileImport.objects.get()
    assert sent_off["Location"] == f"/p/old/files/{job.pk}/"
    waiting = browser.get(sent_off["Location"]).text
    assert "Waiting for a worker" in waiting
    assert f'hx-get="/p/old/files/{job.pk}/live/"' in waiting
    assert re.search(r"<script [^>]*htmx", waiting)  # which asks again
    run(job.pk, worker="here")
    page = browser.get(f"/p/old/files/{job.pk}/").text
    assert "Import the 1 good line" in page
    assert page.count("missing_field") == 100
    more = browser.get(f"/p/old/files/{job.pk}/?from=100").text
    assert more.count("missing_field") == 50
    rows = browser.get(f"/p/old/files/{job.pk}/report.csv").text.splitlines()
    assert rows[0] == "line,byte_offset,level,code,message"
    assert len(rows) == 151
    report = browser.get(f"/p/old/files/{job.pk}/report.json").json()
    assert (report["lines"], len(report["problems"])) == (151, 150)
    browser.post(f"/p/old/files/{job.pk}/import/", {"mode": "PARTIAL"})
    run(job.pk, worker="here")
    assert Prompt.objects.count() == 1
    assert "1 imported, 150 refused" in browser.get(f"/p/old/files/{job.pk}/").text


def test_too_large_a_body_is_refused_before_it_is_read(
    browser: Client, settings: Settings
) -> None:
    settings.UPLOAD_MAX_BYTES = 10
    taken = SimpleUploadedFile("x", b"{}")
    assert browser.post("/p/old/files/", {"file": taken}).status_code == 422

    class Untouched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("the body was read")

    most = site.UPLOAD_MAX_BYTES + FORM_BYTES
    environ: dict[str, Any] = {
        "CONTENT_LENGTH": "1000000",
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/p/old/files/",
        "wsgi.input": Untouched(),
    }
    answer = browser.request(**environ)
    assert answer.status_code == 413
    assert f"larger than {most} bytes" in answer.text


def with_a_checked_session(admin: Membership) -> Client:
    browser = Client(enforce_csrf_checks=True)
    assert admin.user is not None
    browser.force_login(
        admin.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    return browser


def test_a_file_without_its_form_s_token_is_refused(admin: Membership) -> None:
    browser = with_a_checked_session(admin)
    file = SimpleUploadedFile("pairs.jsonl", pairs("Why?"))
    answer = browser.post("/p/old/files/", {"shape": "trl", "file": file})
    assert answer.status_code == 403
    assert not FileImport.objects.exists()


def test_no_other_address_takes_what_only_a_file_is_as_long_as(db: None) -> None:
    class Untouched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("the body was read")

    environ: dict[str, Any] = {
        "CONTENT_LENGTH": str(10**9),
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
        "REQUEST_METHOD": "POST",
        "wsgi.input": Untouched(),
    }
    for path in ("/accounts/login/", "/api/v1/projects/old/claim"):
        answer = Client(enforce_csrf_checks=True).request(PATH_INFO=path, **environ)
        assert answer.status_code == 413


def test_the_format_is_chosen_by_the_link_that_led_here(browser: Client) -> None:
    for given, chosen in (("", "prompts"), ("?what=rankings", "rankings")):
        page = browser.get(f"/p/old/files/{given}").text
        assert f'<option value="{chosen}" selected>' in page
    assert "selected" not in browser.get("/p/old/files/?what=%00").text


TABLE = b"Question,Answer A,Answer B,rank_1,rank_2\nWhy?,a,b,1,2\n"
NAMED = ("prompt=Question", "response_1=Answer A", "response_2 = Answer B")


def test_the_columns_of_a_table_are_named_beside_it(browser: Client) -> None:
    file = SimpleUploadedFile("t.csv", TABLE)
    form = {"shape": "csv", "file": file, "columns": "\r\n".join(NAMED)}
    assert browser.post("/p/old/files/", form).status_code == 302
    job = worked(FileImport.objects.get())
    assert (job.state, job.imported, job.problems) == ("done", 1, [])
    start(job, mode=ImportMode.WHOLE)
    worked(job)
    assert Prompt.objects.get().messages[0]["content"] == "Why?"


@pytest.mark.parametrize(
    ("shape", "columns", "complaint"),
    [
        ("csv", "Question", "write it like prompt=Question"),
        ("csv", "promt=Question", "no column &#x27;promt&#x27;"),
        ("trl", "prompt=Question", "Only a CSV table has columns."),
    ],
)
def test_what_names_no_column_is_said_on_the_form(
    browser: Client, shape: str, columns: str, complaint: str
) -> None:
    file = SimpleUploadedFile("t.csv", TABLE)
    form = {"shape": shape, "file": file, "columns": columns}
    answer = browser.post("/p/old/files/", form)
    assert answer.status_code == 422
    assert complaint in answer.text
    assert columns in answer.text
    assert not FileImport.objects.exists()


@pytest.mark.parametrize(
    "name", ["../../x", "a/b\\c", "CON", "\u202egpj.exe", "x" * 300]
)
def test_whatever_an_upload_is_called_it_lies_in_our_folder(
    browser: Client, name: str
) -> None:
    file = SimpleUploadedFile("x", pairs("Why?"))
    # As a program may send it: Django's own test client cuts folders off.
    file.name = name
    sent_off = browser.post("/p/old/files/", {"shape": "trl", "file": file})
    assert sent_off.status_code == 302
    address = f"{API}?what=trl&dry_run=1&name={quote(name)}"
    assert browser.generic("POST", address, pairs("How?")).status_code == 202
    root = Path(site.VAR_DIR) / "imports"
    jobs = list(FileImport.objects.order_by("pk"))
    assert {path.name for path in root.iterdir()} == {j.stored_as.hex for j in jobs}
    assert [set(job.file_name) & set("/\\\u202e") for job in jobs] == [set(), set()]
    report = browser.get(f"/p/old/files/{jobs[0].pk}/report.csv")
    assert report["X-Content-Type-Options"] == "nosniff"
    assert report["Content-Disposition"].startswith("attachment")


# --- The API ----------------------------------------------------------------------

API = "/api/v1/projects/old/imports"


def test_a_program_sends_a_file_and_follows_it(browser: Client) -> None:
    answer = browser.generic(
        "POST",
        f"{API}?what=trl&dry_run=true&name=../pairs.jsonl",
        pairs("Why?"),
        content_type="application/octet-stream",
    )
    assert answer.status_code == 202
    said = answer.json()
    assert (said["state"], said["mode"], said["report"]) == ("queued", "DRY_RUN", None)
    assert said["file_name"] == "pairs.jsonl"
    run(FileImport.objects.get().pk, worker="here")
    assert browser.get(said["url"]).json()["report"] == {
        "lines": 1,
        "imported": 1,
        "unchanged": 0,
        "refused": 0,
        "warnings": 0,
        "problems": [],
    }
    started = browser.post(said["url"])
    assert (started.status_code, started.json()["mode"]) == (202, "WHOLE")
    assert browser.post(said["url"]).status_code == 409
    run(FileImport.objects.get().pk, worker="here")
    assert browser.get(said["url"]).json()["state"] == "done"
    assert Ranking.objects.count() == 1
    assert len(browser.get(API).json()["imports"]) == 1


@pytest.mark.parametrize("what", ["", "?what=", "?what=xml"])
def test_a_file_of_no_known_format_is_refused(browser: Client, what: str) -> None:
    answer = browser.generic("POST", API + what, b"{}", content_type="text/plain")
    assert answer.status_code == 422
    assert "what: one of" in answer.json()["message"]
    assert not FileImport.objects.exists()


def test_too_large_a_file_is_a_413(browser: Client, settings: Settings) -> None:
    settings.UPLOAD_MAX_BYTES = 10
    answer = browser.generic(
        "POST", f"{API}?what=trl", b"x" * 11, content_type="application/gzip"
    )
    assert answer.status_code == 413
    assert not FileImport.objects.exists()


def test_a_program_may_send_a_form(browser: Client) -> None:
    file = SimpleUploadedFile("pairs.jsonl", pairs("Why?"))
    answer = browser.post(f"{API}?what=trl&dry_run=1", {"file": file})
    assert answer.status_code == 202
    assert answer.json()["file_name"] == "pairs.jsonl"
    assert worked(FileImport.objects.get()).imported == 1
    without = browser.post(f"{API}?what=trl", {"other": "x"})
    assert without.status_code == 422
    assert "no file in a field 'file'" in without.json()["message"]


def test_a_page_s_script_may_send_a_body_with_its_session(admin: Membership) -> None:
    """The check of its token asks for a form's fields, which a body has not."""
    browser = with_a_checked_session(admin)
    browser.cookies["csrftoken"] = "c" * 32
    answer = browser.generic(
        "POST",
        f"{API}?what=trl&dry_run=1",
        pairs("Why?"),
        content_type="application/octet-stream",
        headers={"X-CSRFToken": "c" * 32},
    )
    assert answer.status_code == 202
    assert worked(FileImport.objects.get()).imported == 1


def test_a_program_names_the_columns_of_a_table(browser: Client) -> None:
    columns = "".join(f"&column={quote(named)}" for named in NAMED)
    address = f"{API}?what=csv&dry_run=1"
    answer = browser.generic("POST", address + columns, TABLE, content_type="text/csv")
    assert answer.status_code == 202
    assert worked(FileImport.objects.get()).imported == 1
    for bad in ("?what=csv&column=promt=x", "?what=trl&column=prompt=x"):
        refused = browser.generic("POST", API + bad, TABLE, content_type="text/csv")
        assert refused.status_code == 422
        assert refused.json()["message"].startswith("column: ")


def test_a_body_without_a_length_is_refused(browser: Client) -> None:
    assert browser.generic("POST", f"{API}?what=trl").status_code == 422
    assert not FileImport.objects.exists()
