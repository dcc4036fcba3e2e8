"""Who uses the embedded servers: the first process starts them, the last stops them.

Each process that needs the servers holds a lock on a file of its own for as long as
it lives. The kernel drops the lock when the process dies, however it dies, so a
count of held locks is never wrong and nothing has to be repaired after a crash.
Forked children (a Celery pool, say) inherit the lock and count as well.
"""

import atexit
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotation.embedded import servers
from annotation.embedded.places import Places

_held: dict[Places, int] = {}  # file descriptor by pair of servers


def ensure_running(places: Places) -> None:
    """Attach this process to the servers of `places`, starting them if need be.

    Cheap when already attached. Errors: EmbeddedServerError.
    """
    if places in _held:
        return
    with _alone(places):
        servers.start(places)
        own = _folder(places) / f"{os.getpid()}"
        descriptor = os.open(own, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _held[places] = descriptor
    atexit.register(_leave, places, os.getpid())


def _leave(places: Places, attached_pid: int) -> None:
    """Detach; the last one out stops the servers. A forked child's exit is none."""
    if os.getpid() != attached_pid or places not in _held:
        return
    with _alone(places):
        os.close(_held.pop(places))
        if not _somebody_left(places):
            servers.stop(places)


def _somebody_left(places: Places) -> bool:
    alive = False
    for file in _folder(places).iterdir():
        with file.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alive = True
            else:
                file.unlink()
    return alive


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """One process at a time starts, attaches, leaves or stops."""
    _folder(places).mkdir(parents=True, exist_ok=True)
    with (places.data / "servers.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _folder(places: Places) -> Path:
    return places.data / "attached"
