"""Writes a frozen dataset into a folder: one data file, manifest.json, README.md.

The same dataset gives the same bytes: no timestamp of the export is in a file, rows
stand in one order (prompt id by code points, then ranking), keys as the format lists
them. Parquet gives the same rows always, and the same bytes with the same pyarrow.
"""

import gc
import hashlib
import json
import os
import platform
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
from ranking.export.choice import Choice, ExportRefused
from ranking.export.facts import facts_of
from ranking.export.formats import Csv, JsonArray, JsonLines, Sink, Writer
from ranking.export.held import HeldPrompt
from ranking.export.kinds import rows_of
from ranking.export.placing import README, made_beside
from ranking.export.reading import parts_of, snapshot
from ranking.export.store import MANIFEST
from ranking.losses import why_lost
from ranking.models import Dataset

SCHEMA_VERSION: Final = 1

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
    with made_beside(out.absolute(), dataset) as made:
        with snapshot():
            refuse_if_lost(dataset)
            file = _write_data(dataset, choice, made / choice.file, progress)
            facts = facts_of(dataset, split)
            manifest = {**_manifest(dataset, choice, file), "facts": facts}
        _write_bytes(made / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        _write_bytes(made / README, card(dataset.project.title, manifest).encode())
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
    """How much was just written: rows, the prompts that they are of, and the pairs that
    labelers together leave open."""

    rows: int
    prompts: int
    left_open: int


def written(dataset: Dataset, choice: Choice, sink: Sink) -> Iterator[Part]:
    """Write the data file into `sink`, part by part.

    Needs a transaction, as `ranking.export.reading.parts_of` does.
    """
    writer = writer_of(choice.format, sink)
    # What is there already will still be there afterwards: the collector need not look
    # through all of Django time and again, which takes a third of the whole.
    gc.freeze()
    try:
        some = False
        for prompts in parts_of(dataset, choice.split):
            some = True
            yield _write_part(writer, choice, prompts)
            prompts.clear()  # its texts go before those of the next part are read
        if not some:
            yield _write_part(writer, choice, [])
        writer.close()
    finally:
        gc.unfreeze()


def _write_part(writer: Writer, choice: Choice, prompts: list[HeldPrompt]) -> Part:
    rows = rows_of(choice, prompts)
    writer.write(rows)
    return Part(len(rows), len(prompts), rows.left_open)


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
            rows, left_open = rows + part.rows, left_open + part.left_open
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
