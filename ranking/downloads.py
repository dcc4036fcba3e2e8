"""Files of frozen datasets that pages hand out: made once, when first asked for."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranking.export.choice import Choice, ExportRefused
from ranking.export.folder import refuse_if_lost, write
from ranking.export.store import MANIFEST, Store, exports_store
from ranking.losses import export_folder, place_of, remove_exports
from ranking.models import Dataset


@dataclass(frozen=True)
class Download:
    """A data file that lies in the store."""

    file: str  # its name in the folder, as in `pairs.jsonl`
    sha256: str
    size: int
    _name: str
    _store: Store

    def blocks(self, places: range) -> Iterator[bytes]:
        """These bytes. Raises OSError, at once, where the file cannot be opened."""
        return self._store.blocks(self._name, places)


def download(dataset: Dataset, choice: Choice) -> Download:
    """The data file of this choice.

    1. Who asks first writes it. Others on this machine wait for the lock meanwhile, so
       it is written once and never replaced while somebody reads it. Two machines that
       write it at once write the same bytes.
    2. The manifest lies there last: a folder with one is whole.
    3. A takedown that was committed before is seen at the end, and what was written
       meanwhile goes; one that is committed later removes the files itself.

    Raises ExportRefused for a dataset that lost something, and OSError.
    """
    store = exports_store()
    name = f"{choice.kind}.{choice.disagreement}.{choice.split}.{choice.format}"
    place = f"{place_of(dataset)}/{name}"
    folder = export_folder(dataset) / name
    manifest = _manifest(store, place)
    if manifest is None:
        with _alone(folder):
            manifest = _manifest(store, place)
            if manifest is None:
                manifest = _written(dataset, choice, folder)
                store.keep(folder, place)
    _check_still_whole(dataset)
    [(file, facts)] = manifest["files"].items()
    return Download(file, facts["sha256"], facts["bytes"], f"{place}/{file}", store)


def _manifest(store: Store, place: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(store.content(f"{place}/{MANIFEST}"))
    except FileNotFoundError:
        return None
    return found


def _written(dataset: Dataset, choice: Choice, folder: Path) -> dict[str, Any]:
    return write(
        dataset,
        kind=choice.kind,
        format=choice.format,
        disagreement=choice.disagreement,
        split=choice.split,
        out=folder,
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of this machine at a time, until the file is closed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_still_whole(dataset: Dataset) -> None:
    try:
        refuse_if_lost(dataset)
    except ExportRefused:
        remove_exports([dataset])
        raise
