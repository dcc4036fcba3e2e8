"""Writes a frozen dataset into a folder: one data file, manifest.json, README.md.

The same dataset gives the same bytes: no timestamp of the export is in a file, rows
stand in one order (prompt id by code points, then ranking), keys as the format lists
them. Parquet gives the same rows always, and the same bytes with the same pyarrow.
"""

import fcntl
import gc
import glob
import hashlib
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from io import BufferedWriter
from pathlib import Path
from typing import Any, Final, NamedTuple

import django
import orjson

from ranking.dataset_facts import folds_of
from ranking.export.card import card
from ranking.export.choice import KINDS, Choice, ExportRefused
from ranking.export.columns import Rows
from ranking.export.facts import facts_of
from ranking.export.formats import Csv, JsonArray, JsonLines, Sink, Writer
from ranking.export.kinds import rows_of
from ranking.export.reading import parts_of, snapshot
from ranking.export.store import MANIFEST
from ranking.losses import why_lost
from ranking.models import Dataset

SCHEMA_VERSION: Final = 1
README: Final = "README.md"
DATA_FILES: Final = frozenset(
    f"{name}.{format}" for name, kind in KINDS.items() for format in kind.formats
)
OURS: Final = DATA_FILES | {MANIFEST, README}
STALE_SECONDS: Final = 60

Row = dict[str, Any]


def write(  # noqa: PLR0913  by keyword only, each one an option of the command
    dataset: Dataset,
    *,
    kind: str,
    out: Path,
    format: str = "",
    disagreement: str = "each",
    split: str = "all",
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Write the dataset to the folder `out` and return its manifest.

    The folder gets one data file, `manifest.json` and `README.md`. It is made beside
    `out` and renamed, so nobody finds half of it; an earlier export of the same
    dataset is replaced, if nothing else lies there. Memory stays flat. `progress` is
    called with the number of prompts whose rows were just written; what it raises ends
    the export, and nothing is left of it.

    Raises ExportRefused, and OSError where the disk does not take it.
    """
    choice = Choice(kind=kind, format=format, disagreement=disagreement, split=split)
    out = out.absolute()
    _check_out(out, dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(out)
    made = out.parent / f".{out.name}.part-{secrets.token_hex(6)}"
    made.mkdir()
    at_work = _lock(made)
    try:
        with snapshot():
            refuse_if_lost(dataset)
            file = _write_data(dataset, choice, made / choice.file, progress)
            facts = facts_of(dataset, split)
            manifest = {**_manifest(dataset, choice, file), "facts": facts}
        _write_bytes(made / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        _write_bytes(made / README, card(dataset.project.title, manifest).encode())
        _put_in_place(made, out, dataset)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(at_work)
    return manifest


def refuse_if_lost(dataset: Dataset) -> None:
    """What is written under a dataset's name is what was frozen, or nothing is.

    Raises ExportRefused. One query.
    """
    reason = why_lost(dataset)
    if reason:
        raise ExportRefused(
            f"{dataset.name} is no longer reproducible: {reason} Freeze a new dataset"
            " with the same filters: it holds what is left."
        )


class Part(NamedTuple):
    """Rows, and of how many prompts they are."""

    rows: Rows
    prompts: int


def written(dataset: Dataset, choice: Choice, sink: Sink) -> Iterator[Part]:
    """Write the data file into `sink`: each part of its rows, once it is written.

    Needs a transaction, as `ranking.export.reading.parts_of` does.
    """
    writer = writer_of(choice.format, sink)
    # What is there already will still be there afterwards: the collector need not look
    # through all of Django time and again, which takes a third of the whole.
    gc.freeze()
    try:
        for part in rows_in(dataset, choice):
            writer.write(part.rows)
            yield part
        writer.close()
    finally:
        gc.unfreeze()


def rows_in(dataset: Dataset, choice: Choice) -> Iterator[Part]:
    """The rows of the dataset, part by part; at least one part, which may be empty.

    Needs a transaction, as `ranking.export.reading.parts_of` does.
    """
    some = False
    for prompts in parts_of(dataset, choice.split):
        some = True
        yield Part(rows_of(choice, prompts), len(prompts))
    if not some:
        yield Part(rows_of(choice, []), 0)


# --- Files ------------------------------------------------------------------------


@dataclass
class _HashedFile:
    """A file, with the SHA-256 and the size of what went into it."""

    file: BufferedWriter
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0

    @property
    def closed(self) -> bool:  # pyarrow asks
        return self.file.closed

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


@dataclass(frozen=True)
class _File:
    name: str
    sha256: str
    size: int
    rows: int
    left_open: int


def writer_of(format: str, sink: Sink) -> Writer:
    """What writes files of this format."""
    if format == "parquet":
        # Only who writes such a file loads pyarrow: web processes start without it.
        from ranking.export.parquet import Parquet  # noqa: PLC0415

        return Parquet(sink)
    writers: dict[str, Callable[[Sink], Writer]] = {
        "jsonl": JsonLines,
        "json": JsonArray,
        "csv": Csv,
    }
    return writers[format](sink)


def _write_data(
    dataset: Dataset,
    choice: Choice,
    path: Path,
    progress: Callable[[int], object] | None,
) -> _File:
    rows = left_open = 0
    with path.open("wb") as file:
        hashed = _HashedFile(file)
        for part in written(dataset, choice, hashed):
            rows += len(part.rows)
            left_open += part.rows.left_open
            if progress:
                progress(part.prompts)
        _sync(file)
    return _File(path.name, hashed.digest.hexdigest(), hashed.size, rows, left_open)


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        _sync(file)


def _sync(file: BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


def _manifest(dataset: Dataset, choice: Choice, file: _File) -> Row:
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset_id": dataset.name,
        "content_sha256": dataset.content_sha256,
        "kind": choice.kind,
        "format": choice.format,
        "disagreement": choice.disagreement,
        "split": choice.split,
        "filters": dataset.filters,
        "seed": dataset.seed,
        "folds": folds_of(dataset),
        "counts": dataset.counts,
        "pairs_left_open": file.left_open,
        "files": {
            file.name: {"sha256": file.sha256, "bytes": file.size, "rows": file.rows}
        },
        "versions": _versions(choice.format),
    }


def _versions(format: str) -> dict[str, str]:
    libraries = {"python": platform.python_version(), "django": django.__version__}
    if format == "parquet":
        return {**libraries, "pyarrow": version("pyarrow")}
    return {**libraries, "orjson": orjson.__version__}


# --- The folder -------------------------------------------------------------------


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
