"""Who uses the embedded servers: the first process starts them, the last stops them.

Each process that needs the servers holds a shared lock on one file for as long as it
lives. The kernel drops the lock when the process dies, however it dies, so who is
attached is never wrong and nothing has to be repaired after a crash. Whoever leaves
tries for the exclusive lock: it is to be had when nobody else is left. Forked
children (a Celery pool, say) share their parent's lock and count as long as they run.
"""

import atexit
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotation.embedded import servers
from annotation.embedded.places import Places

_held: dict[Places, int] = {}  # descriptor of the shared lock, by pair of servers


def ensure_running(places: Places) -> None:
    """Attach this process to the servers of `places`, starting them if need be.

    Cheap when they run; a server that died is started again. Errors:
    EmbeddedServerError.
    """
    if places in _held and servers.answer(places):
        return
    try:
        servers.make_data_folder(places)
        with _alone(places):
            servers.start(places)
            if places not in _held:
                _held[places] = _locked(_users(places), fcntl.LOCK_SH)
                atexit.register(_leave, places, os.getpid())
    except servers.EmbeddedServerError:
        raise
    except OSError as error:
        raise servers.EmbeddedServerError(
            f"The embedded servers cannot use {places.data}: {error.strerror}"
            f" ({error.filename}). Set VAR_DIR to another folder."
        ) from error


def _leave(places: Places, attached_pid: int) -> None:
    """Detach; the last one out stops the servers.

    1. A forked child's exit is none: its parent's lock is not its own to give up.
    2. The own lock goes first, then the exclusive one is tried on a descriptor of
       its own, so that children that still hold the shared lock are noticed.
    """
    descriptor = _held.pop(places, None)
    if descriptor is None or os.getpid() != attached_pid or not places.data.exists():
        return
    with _alone(places):
        os.close(descriptor)
        try:
            os.close(_locked(_users(places), fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return  # somebody else is still at work
        servers.stop(places)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """One process at a time starts, attaches, leaves or stops."""
    descriptor = _locked(places.data / "servers.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _users(places: Places) -> Path:
    return places.data / "attached.lock"


def _locked(file: Path, kind: int) -> int:
    """A descriptor of `file` that holds the lock. Errors: BlockingIOError."""
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
