"""Starts and stops the real Postgres and Valkey that come as wheels.

Both listen on unix sockets in a folder of mode 700 and on no network address. Who
may connect is who may enter that folder: the user it belongs to, and root. Those two
could read the data files themselves, so a password would guard nothing, and Postgres
trusts whoever reaches its socket.
"""

import os
import pwd
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from annotation.embedded.places import POSTGRES_PORT, Places
from annotation.embedded.programs import (
    EmbeddedServerError,
    postgres_programs,
    run_program,
    server_owner,
    valkey_program,
)

__all__ = ["EmbeddedServerError", "answer", "make_data_folder", "start", "stop"]

DATABASE = "rankwell"
START_SECONDS = 120  # a crash recovery may come first
RETRY_SECONDS = 10
# What Postgres says while a killed one's processes have not all gone yet.
NOT_GONE_YET = ("is still in use", "already exists")
FREE_BYTES = 100 * 2**20  # a new database takes 60 MiB
# pg_ctl builds a shell command in which it quotes paths with double quotes.
UNQUOTABLE = set('"$`\\\n')


def answer(places: Places) -> bool:
    """Whether the servers that are wanted accept connections."""
    postgres = not places.postgres or _answers(places.postgres_socket)
    return postgres and (not places.valkey or _answers(places.valkey_socket))


def make_data_folder(places: Places) -> None:
    """Make the folder of `places` where it is missing; existing modes stay.

    Errors: EmbeddedServerError for a path that the servers cannot be told.
    """
    if UNQUOTABLE & set(str(places.data)):
        raise EmbeddedServerError(
            f"The path {str(places.data)!r} has a character that Postgres cannot be"
            " told. Set VAR_DIR to a folder without it."
        )
    for folder in (*reversed(places.data.parents), places.data):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            if os.geteuid() == 0:  # the servers' user must be able to pass
                folder.chmod(0o755)


def start(places: Places) -> None:
    """Start what is wanted and not running; see that the database exists.

    Errors: EmbeddedServerError with the reason in one line.
    """
    owner = server_owner()
    _refuse_closed_database(places)
    _make_folders(places, owner)
    if not answer(places):
        _refuse_full_disk(places)
        if places.data != places.var_dir:
            sys.stderr.write(f"The embedded servers keep their data in {places.data}\n")
    if places.postgres:
        if not _answers(places.postgres_socket):
            _make_cluster(places, owner)
            _start_postgres(places, owner)
        _create_database(places.sockets)
    if places.valkey and not _answers(places.valkey_socket):
        _start_valkey(places, owner)


def stop(places: Places) -> None:
    """Stop both servers and wait until they are gone; absent ones are no error."""
    if _answers(places.postgres_socket):
        owner = server_owner()
        program = postgres_programs(places, owner) / "pg_ctl"
        wait = ["-w", "-t", str(START_SECONDS), "-m", "fast"]
        run_program([program, "stop", *wait, "-D", places.postgres_data], owner)
    if _answers(places.valkey_socket):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(places.valkey_socket))
            client.sendall(b"SHUTDOWN\r\n")
            client.recv(1)  # ends when Valkey does
        _wait_until(lambda: not _answers(places.valkey_socket), RETRY_SECONDS)


def _refuse_closed_database(places: Places) -> None:
    """A second, empty database beside the one that cannot be reached would look as
    if everything were lost."""
    if places.data != places.var_dir and (places.var_dir / "postgres").exists():
        raise EmbeddedServerError(
            f"{places.var_dir} holds a database that the servers' system user cannot"
            " reach. Let others pass through the folders above it (chmod o+x), or run"
            " as the user it belongs to."
        )


def _refuse_full_disk(places: Places) -> None:
    free = shutil.disk_usage(places.data).free
    if free < FREE_BYTES:
        raise EmbeddedServerError(
            f"The disk of {places.data} is full: {free // 2**20} MiB free, the"
            f" embedded servers need {FREE_BYTES // 2**20} MiB. Make room, or set"
            " VAR_DIR to another folder."
        )


def _make_folders(places: Places, owner: pwd.struct_passwd | None) -> None:
    wanted = [places.sockets]
    wanted += [places.postgres_data] if places.postgres else []
    wanted += [places.valkey_data] if places.valkey else []
    for folder in wanted:
        if not folder.exists():
            _make_own_folder(folder, owner)
        _refuse_foreign(folder, owner)


def _make_own_folder(folder: Path, owner: pwd.struct_passwd | None) -> None:
    folder.mkdir(mode=0o700)
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _refuse_foreign(folder: Path, owner: pwd.struct_passwd | None) -> None:
    """A folder in /tmp could have been planted by somebody else."""
    expected = owner.pw_uid if owner else os.geteuid()
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != expected or status.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{folder} belongs to another user or is open to others, so the embedded"
            " servers will not use it. Run as the user it belongs to, or set VAR_DIR"
            " to another folder."
        )


def _make_cluster(places: Places, owner: pwd.struct_passwd | None) -> None:
    """Make Postgres' files, or nothing: a half-made folder never gets the name."""
    if (places.postgres_data / "PG_VERSION").exists():
        return
    unfinished = places.data / "postgres.part"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    _make_own_folder(unfinished, owner)
    initdb = postgres_programs(places, owner) / "initdb"
    options = ["-U", DATABASE, "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust"]
    run_program([initdb, "-D", unfinished, *options, "--no-instructions"], owner)
    unfinished.rename(places.postgres_data)


def _start_postgres(places: Places, owner: pwd.struct_passwd | None) -> None:
    log = places.postgres_data / "log"
    options = [
        *("-k", str(places.sockets)),
        *("-p", POSTGRES_PORT),
        *("-c", "listen_addresses="),
        *("-c", "unix_socket_permissions=0700"),
        # 64 people at once in each of several processes. One not opened costs nothing.
        *("-c", "max_connections=300"),
        # Only what ends a server or a connection: the log stays small, and no
        # statement with somebody's text enters it. It is begun anew at each start.
        *("-c", "log_min_messages=fatal"),
        *("-c", "log_min_error_statement=panic"),
    ]
    program = postgres_programs(places, owner) / "pg_ctl"
    command: list[str | Path] = [program, "start", "-w", "-t", str(START_SECONDS)]
    command += ["-D", places.postgres_data, "-l", log, "-o", " ".join(options)]
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        log.unlink(missing_ok=True)
        try:
            return run_program(command, owner)
        except EmbeddedServerError as error:
            reason = _last_line(log)
            not_gone = any(words in reason for words in NOT_GONE_YET)
            if time.monotonic() > deadline or not not_gone:
                raise EmbeddedServerError(f"{error} {reason}".strip()) from error
        time.sleep(0.2)


def _create_database(sockets: Path) -> None:
    connection = psycopg.connect(
        host=str(sockets),
        port=POSTGRES_PORT,
        user=DATABASE,
        dbname="postgres",
        autocommit=True,
    )
    with connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not connection.execute(query, [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _start_valkey(places: Places, owner: pwd.struct_passwd | None) -> None:
    log = places.valkey_data / "log"
    log.unlink(missing_ok=True)
    options = {
        "daemonize": "yes",
        "port": "0",
        "unixsocket": str(places.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(places.valkey_data),
        "logfile": str(log),
        "loglevel": "warning",
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
    run_program([valkey_program(places, owner), *arguments], owner)
    # It listens before it reads its data, so this is soon or never.
    if not _wait_until(lambda: _answers(places.valkey_socket), RETRY_SECONDS):
        raise EmbeddedServerError(f"Valkey did not start. {_last_line(log)}".strip())


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    telling = [line for line in lines if "FATAL:" in line] or lines
    return f"Its log {log} says: {telling[-1]}" if telling else ""
