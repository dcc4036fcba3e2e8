"""Where an export folder goes: beside an earlier one, then in place of it, or nowhere.

A folder is made under a name of its own, locked for as long as its process lives, and
renamed when it is whole. What a killed process leaves is known by its free lock.
"""

import fcntl
import glob
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ranking.export.choice import KINDS, ExportRefused
from ranking.export.store import MANIFEST
from ranking.models import Dataset

README: Final = "README.md"
DATA_FILES: Final = frozenset(
    f"{name}.{format}" for name, kind in KINDS.items() for format in kind.formats
)
OURS: Final = DATA_FILES | {MANIFEST, README}
STALE_SECONDS: Final = 60


@contextmanager
def made_beside(out: Path, dataset: Dataset) -> Iterator[Path]:
    """A new folder to write in. It takes the place of `out` at the end, and is removed
    where something goes wrong.

    Raises ExportRefused where something else lies at `out`, before and afterwards.
    """
    _check_out(out, dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(out)
    made = out.parent / f".{out.name}.part-{secrets.token_hex(6)}"
    made.mkdir()
    at_work = _lock(made)
    try:
        yield made
        _put_in_place(made, out, dataset)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(at_work)


def _check_out(out: Path, dataset: Dataset) -> None:
    """Refuse a folder that is neither free nor an export of this dataset, no more.

    What an export replaces is deleted, so nothing of anybody else's may lie there.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportRefused(f"{out} is a file; --out names a folder")
    held = sorted(out.iterdir())
    if held and _dataset_in(out) != dataset.name:
        raise ExportRefused(
            f"{out} is not empty, and it is no export of {dataset.name}: choose another"
            " folder; nothing was written"
        )
    strange = [path.name for path in held if path.name not in OURS or path.is_dir()]
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise ExportRefused(
            f"{out} holds an export of {dataset.name}, but it also holds"
            f" {strange[0]!r}{more}: choose another folder; nothing was written"
        )


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of an export folder. Raises OSError or ValueError without one."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return manifest


def _dataset_in(out: Path) -> str | None:
    try:
        manifest = manifest_of(out)
    except (OSError, ValueError):
        return None
    return manifest.get("dataset_id") if isinstance(manifest, dict) else None


def _put_in_place(made: Path, out: Path, dataset: Dataset) -> None:
    """Rename the finished folder, in place of an earlier export.

    The lock on the parent folder keeps two exports to one place apart.
    """
    parent = os.open(out.parent, os.O_RDONLY)
    try:
        fcntl.flock(parent, fcntl.LOCK_EX)
        _check_out(out, dataset)
        if out.exists():
            earlier = made.with_name(f"{made.name}.earlier")
            out.rename(earlier)
            made.rename(out)
            shutil.rmtree(earlier)
        else:
            made.rename(out)
        os.fsync(parent)
    finally:
        os.close(parent)


def _lock(made: Path) -> int:
    """Held while the folder is written; the system lets it go with the process."""
    folder = os.open(made, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    return folder


def _remove_stale(out: Path) -> None:
    """Take away what an export to this place left whose process was killed."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.part-*"):
        remove_if_dead(left)


def remove_if_dead(left: Path) -> None:
    """Remove a folder that is not finished, unless its writer is at work.

    A minute passes first: a writer makes its folder and then takes the lock.
    """
    if left.stat().st_mtime > time.time() - STALE_SECONDS:
        return
    folder = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(left, ignore_errors=True)
    finally:
        os.close(folder)
