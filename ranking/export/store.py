"""Where files that pages have made lie: below VAR_DIR, or in an S3-compatible store.

A store keeps folders of files under places such as `3/ds-0123456789ab/pairs`. The
manifest of a folder comes last: without one, the folder is not there yet.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from django.conf import settings

BLOCK: Final = 1 << 20  # bytes
MANIFEST: Final = "manifest.json"


class Store(Protocol):
    """Raises OSError where the disk or the server does not do its part, and
    FileNotFoundError for what is not there."""

    def keep(self, folder: Path, place: str) -> None:
        """Take the files of `VAR_DIR/exports/{place}`, so that they can be read."""

    def content(self, name: str) -> bytes:
        """A small file."""

    def blocks(self, name: str, places: range) -> Iterator[bytes]:
        """These bytes of a file; what cannot be opened fails before the first block."""

    def remove(self, place: str) -> None:
        """Everything under a place goes; nothing there is fine."""


def exports_store() -> Store:
    """The store that the settings name."""
    if settings.EXPORTS_S3:
        return _bucket_of(**settings.EXPORTS_S3)
    return _Disk(settings.VAR_DIR / "exports")


def remove_folder(folder: Path) -> None:
    """Delete a folder in which somebody may be writing; none is fine.

    It gets another name first. Who goes on writing under its own name fails there, and
    adds nothing to what is being deleted.
    """
    gone = folder.with_name(f".{folder.name}.gone-{secrets.token_hex(6)}")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone)


class _Disk:
    """Files stay where they were made."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, folder: Path, place: str) -> None:
        """As `Store`."""

    def content(self, name: str) -> bytes:
        """As `Store`."""
        return (self._root / name).read_bytes()

    def blocks(self, name: str, places: range) -> Iterator[bytes]:
        """As `Store`."""
        file = (self._root / name).open("rb")
        file.seek(places.start)
        return Blocks(file, len(places))

    def remove(self, place: str) -> None:
        """As `Store`."""
        remove_folder(self._root / place)


class _Bucket:
    """Files go to the bucket and from this machine.

    Only who configures one loads boto, which costs half a second and 40 MB.
    """

    def __init__(self, **where: Any) -> None:
        from storages.backends.s3 import S3Storage  # noqa: PLC0415

        self._storage = S3Storage(**where)

    def keep(self, folder: Path, place: str) -> None:
        """As `Store`."""
        files = sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST)
        with _server_errors():
            for path in files:
                self._bucket.upload_file(str(path), f"{place}/{path.name}")
        shutil.rmtree(folder)

    def content(self, name: str) -> bytes:
        """As `Store`."""
        with _server_errors():
            content: bytes = self._bucket.Object(name).get()["Body"].read()
            return content

    def blocks(self, name: str, places: range) -> Iterator[bytes]:
        """As `Store`."""
        if not places:
            return iter(())
        wanted = f"bytes={places.start}-{places.stop - 1}"
        with _server_errors():
            body = self._bucket.Object(name).get(Range=wanted)["Body"]
        return Blocks(body, len(places))

    def remove(self, place: str) -> None:
        """As `Store`."""
        held = self._bucket.objects.filter(Prefix=f"{place}/")
        with _server_errors():
            for one in held:  # first what says that a folder is there
                if one.key.endswith(f"/{MANIFEST}"):
                    one.delete()
            held.delete()

    @property
    def _bucket(self) -> Any:
        # Not the storage's own, which it keeps for all threads: boto's are for one.
        return self._storage.connection.Bucket(self._storage.bucket_name)


@cache
def _bucket_of(**where: Any) -> _Bucket:
    """One of each for a process, with a connection for each of its threads: boto reads
    its description of the whole service for every new one, a fifth of a second."""
    return _Bucket(**where)


@contextmanager
def _server_errors() -> Iterator[None]:
    """What the server or the way to it lets fail is an OSError here."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise FileNotFoundError("the store has no such file") from error
        raise OSError(f"the store refused: {error}") from error
    except (Boto3Error, BotoCoreError) as error:
        raise OSError(f"the store does not answer: {error}") from error


class Blocks:
    """So many bytes from where the file stands; closed at their end, or before."""

    def __init__(self, file: Any, left: int) -> None:
        self._file, self._left = file, left

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self._file.read(min(BLOCK, self._left)) if self._left else b""
        self._left -= len(block)
        if not block:
            self.close()
            raise StopIteration
        return block

    def close(self) -> None:
        """Also of one that nobody has begun to read, as after HEAD."""
        self._file.close()
