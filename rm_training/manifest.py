"""Folders that are whole or do not exist: written aside, hashed, renamed. PURE.

safetensors notices a torn file but not a flipped bit, so every file of a folder is
listed in manifest.json with its size and SHA-256. No manifest: the folder is not one of
ours.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rm_training.errors import RunError

MANIFEST: Final = "manifest.json"
SCHEMA_VERSION: Final = 1


class DamagedFolder(RunError):  # noqa: N818  says what it is
    """A folder's files are not those that were published; the message names one."""


class OutputRefused(RunError):  # noqa: N818  says what it is
    """The output folder holds something already, or cannot be made there."""


def check_output(folder: Path) -> None:
    """Raises OutputRefused unless the folder is absent or empty, and can be made.

    Nothing is ever overwritten. Asked before hours of work as well as after them.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputRefused(f"{folder} is not empty; choose another output folder")
    absolute = folder.absolute()
    nearest = next(path for path in (absolute, *absolute.parents) if path.exists())
    if not nearest.is_dir():
        raise OutputRefused(f"{nearest} is a file; choose another output folder")
    # The folder itself is made beside its final place, so it is the parent that counts.
    parent = absolute.parent if nearest == absolute else nearest
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputRefused(f"{parent} may not be written; choose another folder")


def require_space(folder: Path, needed: int) -> None:
    """Raises OSError (ENOSPC) unless so many bytes are free where folder is or will be.

    Asked first, because a disk that is filled to its last byte fails everybody on it.
    """
    absolute = folder.absolute()
    nearest = next(path for path in (absolute, *absolute.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}: {needed / 1e9:.1f} GB are needed, "
            f"{free / 1e9:.1f} GB are free",
        )


@contextmanager
def publishing(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, which becomes it when the block ends well.

    Then: fsync of each file → manifest.json → fsync → rename → fsync of the parent. A
    reader finds the whole folder or none. On an error the temporary folder is removed.

    Raises OutputRefused, before the block or after it.
    """
    check_output(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
    try:
        yield partial
        # Made private by mkdtemp and safetensors; a server may be another account.
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        _seal(partial)
        check_output(folder)
        partial.rename(folder)  # fails if someone filled it in between
        _fsync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def discard_partials(folder: Path) -> None:
    """Removes what a killed process left when it was about to publish `folder`."""
    for partial in folder.parent.glob(f"{_prefix(folder)}*"):
        shutil.rmtree(partial)


def _prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose files are all there, unchanged, and no others.

    Hidden files are not looked at. Raises DamagedFolder.
    """
    listed = _read_manifest(folder)
    for name, entry in listed.items():
        _verify_file(folder, name, entry)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if path.is_file() and not hidden and name not in {MANIFEST, *listed}:
            raise DamagedFolder(f"{folder}: {name} is not in the manifest; remove it")
    return listed


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DamagedFolder(f"there is no folder {folder}")
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
    except FileNotFoundError as error:
        raise DamagedFolder(
            f"{folder} has no {MANIFEST}: it was never published whole"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFolder(f"{folder}: {MANIFEST} is damaged") from error
    if not isinstance(files, dict) or not files:
        raise DamagedFolder(f"{folder}: {MANIFEST} lists no files")
    return files


def _verify_file(folder: Path, name: str, entry: Any) -> None:
    path = folder / name
    if not path.is_file():
        raise DamagedFolder(f"{folder}: {name} is missing")
    try:
        size, sha256 = entry["bytes"], entry["sha256"]
    except (KeyError, TypeError) as error:
        raise DamagedFolder(f"{folder}: {MANIFEST} is damaged at {name}") from error
    if path.stat().st_size != size:
        raise DamagedFolder(
            f"{folder}: {name} has {path.stat().st_size} bytes instead of {size}: torn "
            "or changed; copy it again or retrain"
        )
    if file_sha256(path) != sha256:
        raise DamagedFolder(
            f"{folder}: {name} has changed (its SHA-256 differs from the manifest's); "
            "copy it again or retrain"
        )


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {
        path.relative_to(folder).as_posix(): {
            "sha256": file_sha256(path),
            "bytes": path.stat().st_size,
        }
        for path in files
    }
    for path in files:
        _fsync(path)
    manifest = {"schema_version": SCHEMA_VERSION, "files": listed}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    _fsync(folder / MANIFEST)
    _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
