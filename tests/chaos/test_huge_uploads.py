"""F25, S22, S23 in their real sizes: files made to fill a memory, a disk or a day.

The importer and the web are processes of their own, and their memory is what the kernel
says of them. What the files say is tested in `tests/annotation/test_import_faults.py`;
here they are large. A machine of two cores takes four minutes and 4 GB of disk for it.
"""

import gzip
import http.client
import io
import json
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Final
from uuid import UUID

import pytest

from tests.e2e.stack import ROOT
from tests.faults.history import History
from tests.faults.labeler import CSRF, Labeler
from tests.faults.progress import report
from tests.faults.site import Site

MB: Final = 10**6
MOST_MEMORY, MOST_GROWTH = 300 * MB, 200 * MB
LINES, GIGABYTE = 200_000, 10**9
PAGES: Final = 40  # asked for, to know how long one takes
FILES, PAGE = "/p/faults/files/", "/p/faults/work/"
EDGE = b"----------edge"
COUNTS: Final = """
SELECT (SELECT count(*) FROM annotation_prompt), (SELECT count(*) FROM
annotation_response), (SELECT count(*) FROM annotation_promptimport)"""

AN_ADMIN: Final = """
from annotation.models import Membership
Membership.objects.filter(name="labeler 0").update(role="admin")"""


# --- The site ----------------------------------------------------------------------


class Place(Site):
    """A site with an admin, number 0, and a labeler, number 1."""

    sessions: tuple[str, ...] = ()
    # As in docs/operations.md: without, an upload of over 30 seconds ends its process.
    threads = 4

    def begin(self) -> None:
        """Fill the database and start the web; the first page starts Postgres."""
        self.sessions = tuple(self.prepare(labelers=2, prompts=20))
        self.manage("shell", "--no-imports", "-c", AN_ADMIN)
        self.start()
        assert self.browser(1).get(PAGE).status == 200

    def browser(self, number: int) -> Labeler:
        """Of one of the two."""
        return Labeler(self.port, self.sessions[number], History())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("huge") / "var")
    try:
        made.begin()
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.places.data, ignore_errors=True)


def peak(pid: int) -> int:
    """The most bytes of memory that a process has had; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    most = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(most[0].split()[1]) * 1024 if most else 0  # a zombie has none


def web_workers(site: Place) -> dict[int, int]:
    """The peak of each web process that answers requests, by pid."""
    parent = site.pid("web")
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(pid): peak(int(pid)) for pid in children}


@dataclass
class Watch:
    """What a labeler's page took while something else went on: seconds, statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def ask(self, labeler: Labeler) -> None:
        """One page."""
        begun = time.monotonic()
        self.statuses[labeler.get(PAGE).status] += 1
        self.seconds.append(time.monotonic() - begun)

    @property
    def p95(self) -> float:
        """In seconds."""
        return quantiles(self.seconds, n=20)[-1]


@contextmanager
def watched(site: Place) -> Iterator[Watch]:
    """Ask for pages all the while, and at least PAGES; every one is answered, by the
    same processes as before, whose memory has not grown."""
    before, watch, over = web_workers(site), Watch(), threading.Event()

    def ask() -> None:
        labeler = site.browser(1)
        while not over.is_set() or len(watch.seconds) < PAGES:
            watch.ask(labeler)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield watch
    finally:
        over.set()
        asking.join()
    after = web_workers(site)
    assert watch.statuses == {200: len(watch.seconds)}
    assert after.keys() == before.keys()
    assert all(after[pid] - before[pid] < MOST_GROWTH for pid in before), after
    assert all(most < MOST_MEMORY for most in after.values()), after


# --- The importer -------------------------------------------------------------------


@dataclass(frozen=True)
class Imported:
    """How an import by the command ended."""

    status: int
    memory: int  # at its peak, in bytes
    said: dict[str, Any]  # the report; {} where there is none
    complaint: str

    @property
    def codes(self) -> list[tuple[int, str]]:
        """The refused lines."""
        problems = self.said["problems"]
        return [(p["line"], p["code"]) for p in problems if p["level"] == "error"]


def imported(site: Place, file: Path) -> Imported:
    """Import a file, whole or not at all, in a process of its own."""
    command = [sys.executable, "manage.py", "import_prompts", "faults", str(file)]
    with (
        io.FileIO(site.var_dir / "said", "w+") as said,
        io.FileIO(site.var_dir / "complaint", "w+") as complaint,
    ):
        process = subprocess.Popen(
            [*command, "--json"],
            cwd=ROOT,
            env=site.environment,
            stdout=said,
            stderr=complaint,
        )
        most = 0
        while process.poll() is None:
            most = max(most, peak(process.pid))
            time.sleep(0.02)
        said.seek(0)
        complaint.seek(0)
        found = json.loads(said.read() or b"{}")
        return Imported(process.returncode, most, found, complaint.read().decode())


@pytest.fixture(scope="module")
def usual(site: Place, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The memory of an import of next to nothing, which is refused too."""
    file = tmp_path_factory.mktemp("usual") / "one.jsonl"
    file.write_bytes(b"{}")
    ended = imported(site, file)
    assert ended.codes == [(1, "missing_field")]
    return ended.memory


@pytest.fixture
def nothing_stored(site: Place) -> Iterator[None]:
    """A refused file leaves the database as it was."""
    before = site.ask(COUNTS)
    yield
    assert site.ask(COUNTS) == before


def line(number: int, *, size: int = 0) -> bytes:
    """A good line of about so many bytes."""
    responses = [{"id": f"r{n}", "text": f"{n} {'x ' * (size // 8)}"} for n in range(4)]
    row = {"id": f"h{number}", "prompt": "Why?", "responses": responses}
    return json.dumps(row).encode() + b"\n"


def gigabyte_of_lines(file: Path) -> None:
    """200,000 lines of 5 kB, the first of which has a response of 10 MB."""
    start = line(0, size=GIGABYTE // LINES)
    with file.open("wb") as out:
        out.write(line(0).replace(b'"0 ', b'"' + b"x" * 10 * MB))
        for number in range(1, LINES):
            out.write(start.replace(b'"h0"', b'"h%d"' % number, 1))


def gigabyte_of_one_line(file: Path) -> None:
    """A text without an end, then a good line; a file with a hole takes no disk."""
    with file.open("wb") as out:
        out.write(b'{"id": "x')
        out.seek(GIGABYTE)
        out.write(b"\n" + line(1))


def bomb(file: Path) -> None:
    """10 MB that unpack to 10 GB: gzip files one behind the other are one."""
    hundred = gzip.compress(bytes(100 * MB), 9)
    file.write_bytes(hundred * 100)


def zip_of_zips(file: Path) -> None:
    """Three of them, around 100 MB of zeros."""
    content = bytes(100 * MB)
    for name in ("c", "b.zip", "a.zip"):
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(name, content)
        content = raw.getvalue()
    file.write_bytes(content)


HOSTILE_LINES = (
    (b"[" * 100_000, "too_deep"),
    (b'{"a":' * 100_000, "too_deep"),
    (json.dumps(dict.fromkeys(map(str, range(10**6)))).encode(), "too_many_keys"),
    (b'{"id": ' + b"9" * 5_000 + b"}", "number_too_large"),
    (b'{"id": "x", "prompt": "' + b"x" * 10 * MB + b'"}', "text_too_long"),
)


def hostile_lines(file: Path) -> None:
    """Each of them ten times, so that what one leaves behind adds up."""
    with file.open("wb") as out:
        for hostile, _ in HOSTILE_LINES * 10:
            out.write(hostile + b"\n")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nothing_stored")
def test_a_gigabyte_of_lines_is_read_while_people_rank(
    site: Place, usual: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "large.jsonl"
    gigabyte_of_lines(file)
    assert file.stat().st_size > GIGABYTE
    with watched(site) as alone:
        pass
    with watched(site) as meanwhile:
        ended = imported(site, file)
    file.unlink()
    report(
        capsys,
        f"page beside an import: p95 {meanwhile.p95 * 1e3:.0f} ms, alone"
        f" {alone.p95 * 1e3:.0f} ms ({meanwhile.p95 / alone.p95:.1f} times);"
        f" importer {ended.memory / MB:.0f} MB, of next to nothing {usual / MB:.0f} MB",
    )
    assert (ended.status, ended.codes) == (1, [(1, "text_too_long")])
    assert (ended.said["lines"], ended.said["imported"]) == (LINES, LINES - 1)
    assert ended.memory < MOST_MEMORY
    assert ended.memory - usual < MOST_GROWTH


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("make", [gigabyte_of_one_line, hostile_lines])
def test_hostile_lines_are_refused_by_their_codes(
    site: Place, usual: int, tmp_path: Path, make: Any
) -> None:
    file = tmp_path / "hostile.jsonl"
    make(file)
    ended = imported(site, file)
    file.unlink()
    expected = {
        gigabyte_of_one_line: [(1, "text_too_long")],
        hostile_lines: [
            (number, code) for number, (_, code) in enumerate(HOSTILE_LINES * 10, 1)
        ],
    }
    assert (ended.status, ended.codes) == (1, expected[make])
    assert ended.memory - usual < MOST_GROWTH


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nothing_stored")
def test_a_file_that_is_all_air_or_no_text_is_refused(
    site: Place, usual: int, tmp_path: Path
) -> None:
    file = tmp_path / "air"
    bomb(file)
    assert file.stat().st_size < 12 * MB
    ended = imported(site, file)
    assert (ended.status, ended.said) == (1, {})
    assert "200 times its size" in ended.complaint
    assert ended.memory - usual < MOST_GROWTH
    zip_of_zips(file)
    ended = imported(site, file)
    assert ended.status == 1
    assert ended.said == {} or ended.said["imported"] == 0
    assert ended.memory - usual < MOST_GROWTH


def test_control_the_memory_of_a_file_read_at_once_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as out:
        out.truncate(2 * MOST_GROWTH)
    read = f"import sys; text = open({str(file)!r}, 'rb').read(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", read], stdin=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while peak(process.pid) < 2 * MOST_GROWTH:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.communicate()


# --- By the page --------------------------------------------------------------------


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    """One field of a form with files."""
    shown = b'; filename="%s"' % file_name.encode() if file_name is not None else b""
    head = b'Content-Disposition: form-data; name="%s"%s' % (name.encode(), shown)
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (EDGE, head, content)


def posted(site: Place, pieces: Iterable[bytes], length: int) -> int:
    """The status that the admin's form is answered with."""
    admin = site.browser(0)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=300)
    headers = {
        "Cookie": f"sessionid={admin.session}; csrftoken={CSRF}",
        "X-CSRFToken": CSRF,
        "Content-Type": f"multipart/form-data; boundary={EDGE.decode()}",
        "Content-Length": str(length),
    }
    try:
        with suppress(BrokenPipeError):  # refused before all of it was sent
            connection.request("POST", FILES, pieces, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def form(content: bytes, file_name: str = "x.jsonl") -> bytes:
    """A form that sends one small file."""
    shape, file = part("shape", b"prompts"), part("file", content, file_name)
    return shape + file + b"--%s--\r\n" % EDGE


@pytest.mark.timeout(600)
def test_a_gigabyte_is_sent_while_people_rank(
    site: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = form(b"|").split(b"|")
    piece = b"x" * MB

    def pieces() -> Iterator[bytes]:
        yield before
        for _ in range(GIGABYTE // MB):
            yield piece
        yield after

    with watched(site) as meanwhile:
        assert posted(site, pieces(), len(before) + GIGABYTE + len(after)) == 302
    report(capsys, f"page beside an upload: p95 {meanwhile.p95 * 1e3:.0f} ms")
    [(stored_as, size)] = site.ask(
        "SELECT stored_as, size FROM ranking_fileimport ORDER BY id DESC LIMIT 1"
    )
    assert size == GIGABYTE
    [kept] = site.var_dir.rglob(stored_as.hex)
    assert kept.stat().st_size == GIGABYTE
    kept.unlink()


@pytest.mark.timeout(600)
def test_a_hundred_thousand_fields_are_refused(site: Place) -> None:
    many = b"".join(part(f"f{n}", b"") for n in range(100_000)) + form(b"{}")
    with watched(site):
        assert posted(site, [many], len(many)) == 400


NAMES: Final = (
    *("../../x", "/etc/x", "..\\..\\x", "x\0.jsonl", "n" * 300, "CON", "NUL.jsonl"),
    *("\u202elnosj.x", ".", "..", "a/../../../x"),
)


def test_no_name_leaves_the_folder_or_names_the_file(site: Place) -> None:
    def elsewhere() -> set[Path]:
        """All files but those of the database and the logs, and the folder's own."""
        found = site.var_dir.parent.rglob("*")
        return {path for path in found if path.is_file() and not is_ours(path.name)}

    before = elsewhere()
    statuses = Counter(
        posted(site, [sent], len(sent)) for sent in (form(b"{}", n) for n in NAMES)
    )
    assert statuses.keys() <= {302, 400, 422}
    assert statuses[302] >= len(NAMES) - 4
    assert elsewhere() == before
    assert not Path("/etc/x").exists()
    shown = site.browser(0).get(FILES)
    assert shown.status == 200
    assert not {"\0", "\u202e"} & set(shown.body)


def is_ours(name: str) -> bool:
    """Whether it is a name that nobody sent."""
    try:
        return UUID(name).hex == name
    except ValueError:
        return False
