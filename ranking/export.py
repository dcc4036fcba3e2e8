"""Writes a frozen dataset into a folder: the rankings, or the strict pairs of them.

The same dataset gives the same bytes: no timestamp of the export is in the file, rows
stand in one order (prompt id by code points, then ranking), keys as the format lists
them.
"""

import fcntl
import glob
import hashlib
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Any, Final

import django
import orjson
from django.db import connection, transaction

from ranking.card import card
from ranking.frozen import FrozenPrompt, in_order, read_prompts
from ranking.losses import why_lost
from ranking.models import Dataset, Ranking, Split
from ranking.pairs import strict_pairs

SCHEMA_VERSION: Final = 1
KINDS: Final = ("rankings", "pairs")
FORMATS: Final = ("jsonl", "parquet")
SPLITS: Final = (*Split.values, "all")
MANIFEST: Final = "manifest.json"
README: Final = "README.md"
OURS: Final = frozenset(
    (MANIFEST, README, *(f"{kind}.{format}" for kind in KINDS for format in FORMATS))
)
STALE_SECONDS: Final = 3600

Row = dict[str, Any]


class ExportRefused(ValueError):  # noqa: N818  reads as what happened
    """The folder holds something else, the format is not written, or the dataset is
    not reproducible any more; nothing was written."""


def write(  # noqa: PLR0913  by keyword only, each one an option of the command
    dataset: Dataset,
    *,
    kind: str,
    out: Path,
    format: str = "jsonl",
    split: str = "all",
    progress: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Write the dataset to the folder `out` and return its manifest.

    The folder gets one data file, `manifest.json` and `README.md`. It is made beside
    `out` and renamed, so nobody finds half of it; an earlier export of the same
    dataset is replaced, if nothing else lies there. Memory stays flat. `progress` is
    called after each row.

    Raises ExportRefused, and OSError where the disk does not take it.
    """
    _check(kind, format, split)
    out = out.absolute()
    _check_out(out, dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(out)
    made = out.parent / f".{out.name}.part-{secrets.token_hex(6)}"
    made.mkdir()
    try:
        with snapshot():
            refuse_if_lost(dataset)
            rows = rows_of(dataset, kind, split)
            file = _write_rows(made / f"{kind}.jsonl", rows, progress)
        manifest = _manifest(dataset, file, kind=kind, split=split)
        _write_bytes(made / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        _write_bytes(made / README, card(dataset.project.title, manifest).encode())
        _put_in_place(made, out, dataset)
    finally:
        shutil.rmtree(made, ignore_errors=True)
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


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the database, read only, for all that is read inside.

    Within a transaction of the caller's, that one's rules hold.
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
        yield


# --- Rows -------------------------------------------------------------------------


def rows_of(dataset: Dataset, kind: str, split: str = "all") -> Iterator[Row]:
    """The rows of the dataset, as the format `rankings` or `pairs` has them.

    Texts are JSON already (orjson fragments): each is encoded once, however many
    rows it stands in. Needs a transaction, because it reads through a cursor.
    """
    held = Ranking.objects.filter(datasetranking__dataset=dataset)
    if split != "all":
        held = held.filter(assignment__prompt__promptsplit__split=split)
    rows = _ranking_rows if kind == "rankings" else _pair_rows
    for prompts in read_prompts(dataset.project, in_order(held)):
        for prompt in prompts:
            yield from rows(prompt)


def _ranking_rows(prompt: FrozenPrompt) -> Iterator[Row]:
    messages = orjson.Fragment(orjson.dumps(prompt.messages))
    responses = orjson.Fragment(orjson.dumps(prompt.responses))
    for ranking in prompt.rankings:
        yield {
            "prompt_id": prompt.id,
            "prompt": messages,
            "responses": responses,
            "ranks": ranking.ranks,
            "labeler": ranking.labeler,
            "ranking_id": str(ranking.pk),
            "display_order": ranking.display_order,
            "instructions_version": ranking.instructions_version,
            "seconds": ranking.seconds,
            "submitted_at": ranking.submitted_at,
            "split": prompt.split,
            "status": ranking.status,
            "pool": ranking.pool,
            "tags": prompt.tags,
            "ratings": ranking.ratings,
            "flags": ranking.flags,
            "note": ranking.note,
        }


def _pair_rows(prompt: FrozenPrompt) -> Iterator[Row]:
    messages = orjson.Fragment(orjson.dumps(prompt.messages))
    turns = {
        response["id"]: orjson.Fragment(
            orjson.dumps([{"role": "assistant", "content": response["text"]}])
        )
        for response in prompt.responses
    }
    ranked = [
        (ranking, strict_pairs(dict(zip(turns, ranking.ranks, strict=True))))
        for ranking in prompt.rankings
    ]
    with_pairs = [(ranking, pairs) for ranking, pairs in ranked if pairs]
    for ranking, pairs in with_pairs:
        weight = 1 / len(pairs)
        for pair in pairs:
            yield {
                "prompt": messages,
                "chosen": turns[pair.chosen],
                "rejected": turns[pair.rejected],
                "prompt_id": prompt.id,
                "ranking_id": str(ranking.pk),
                "labeler": ranking.labeler,
                "chosen_id": pair.chosen,
                "rejected_id": pair.rejected,
                "rank_gap": pair.rank_gap,
                "weight": weight,
                "prompt_weight": weight / len(with_pairs),
                "split": prompt.split,
            }


# --- Files ------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    name: str
    sha256: str
    size: int
    rows: int


def _write_rows(
    path: Path, rows: Iterable[Row], progress: Callable[[], object] | None
) -> _File:
    digest = hashlib.sha256()
    count = size = 0
    with path.open("wb") as file:
        for row in rows:
            line = orjson.dumps(
                row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
            )
            digest.update(line)
            file.write(line)
            count, size = count + 1, size + len(line)
            if progress:
                progress()
        _sync(file)
    return _File(path.name, digest.hexdigest(), size, count)


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        _sync(file)


def _sync(file: BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


def _manifest(dataset: Dataset, file: _File, *, kind: str, split: str) -> Row:
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset_id": dataset.name,
        "content_sha256": dataset.content_sha256,
        "kind": kind,
        "format": "jsonl",
        "split": split,
        "filters": dataset.filters,
        "counts": dataset.counts,
        "files": {
            file.name: {"sha256": file.sha256, "bytes": file.size, "rows": file.rows}
        },
        "versions": {
            "python": platform.python_version(),
            "django": django.__version__,
            "orjson": orjson.__version__,
        },
    }


# --- The folder -------------------------------------------------------------------


def _check(kind: str, format: str, split: str) -> None:
    known = (
        ("kind", kind, KINDS),
        ("format", format, FORMATS),
        ("split", split, SPLITS),
    )
    for name, word, words in known:
        if word not in words:
            raise ExportRefused(f"{name}: {word!r} is none of {', '.join(words)}")
    if format == "parquet":
        raise ExportRefused("Parquet is not written yet; use the format jsonl")


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


def _remove_stale(out: Path) -> None:
    """Take away what an export to this place left that was killed an hour ago."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.part-*"):
        if left.stat().st_mtime < time.time() - STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
