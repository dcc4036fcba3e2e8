"""Where the embedded Postgres and Valkey of one VAR_DIR keep their files.

Everything here is computed, nothing is created: settings may ask at any time.
"""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

# A unix socket's path ends at 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 103
POSTGRES_PORT = "5432"  # nothing listens there: Postgres names its socket after it
POSTGRES_SOCKET = f".s.PGSQL.{POSTGRES_PORT}"
CLOSED_HOME_DATA = Path("/var/lib/rankwell")
# Not tempfile.gettempdir(): two processes with different TMPDIR must agree.
SHORT_FOLDERS = Path("/tmp")  # noqa: S108  the folder in it is checked for its owner
# Characters that a URL, a list of folders and a shell all leave alone.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True)
class Places:
    """Folders of one pair of embedded servers, and which of the two are wanted."""

    var_dir: Path
    data: Path
    sockets: Path
    postgres: bool = True
    valkey: bool = True

    @property
    def postgres_data(self) -> Path:
        """Postgres' data folder."""
        return self.data / "postgres"

    @property
    def valkey_data(self) -> Path:
        """Folder of Valkey's append-only file."""
        return self.data / "valkey"

    @property
    def programs(self) -> Path:
        """Where the servers' programs are copied when the system user cannot reach
        the virtual environment."""
        return self.data / "programs"

    @property
    def postgres_socket(self) -> Path:
        """Postgres' unix socket."""
        return self.sockets / POSTGRES_SOCKET

    @property
    def valkey_socket(self) -> Path:
        """Valkey's unix socket."""
        return self.sockets / "valkey.sock"


def open_to_others(folder: Path) -> bool:
    """Whether another system user can reach `folder` (o+x on it and all parents).

    What does not exist yet counts as open: we make it so.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.stat().st_mode & stat.S_IXOTH:
            return False
    return True


def places_of(var_dir: Path, *, postgres: bool = True, valkey: bool = True) -> Places:
    """The folders that serve `var_dir`; always the same ones for the same folder.

    As root the servers run as a system user. Where `var_dir` or a parent of it is
    closed to that user (a home of mode 700), the data goes to
    /var/lib/rankwell/<hash>; no existing folder's mode is changed.
    """
    var_dir = var_dir.resolve()
    name = hashlib.sha256(os.fsencode(var_dir)).hexdigest()[:12]
    data = var_dir
    if os.geteuid() == 0 and not open_to_others(var_dir):
        data = CLOSED_HOME_DATA / name
    sockets = data / "run"
    too_long = len(os.fsencode(sockets / POSTGRES_SOCKET)) > LONGEST_SOCKET_PATH
    if too_long or not PLAIN_PATH.fullmatch(str(sockets)):
        sockets = SHORT_FOLDERS / f"rankwell-{os.geteuid()}-{name}"
    return Places(var_dir, data, sockets, postgres, valkey)
