"""Data files of frozen datasets that a worker has written: found and read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranking.export.choice import Choice
from ranking.export.store import MANIFEST, Store, exports_store
from ranking.losses import export_folder, place_of
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


def written_file(dataset: Dataset, choice: Choice) -> Download | None:
    """The data file of this choice; None until a worker has written it.

    The manifest lies there last: a folder with one is whole. Raises OSError.
    """
    store = exports_store()
    place = place_in_store(dataset, choice)
    try:
        manifest: dict[str, Any] = json.loads(store.content(f"{place}/{MANIFEST}"))
    except FileNotFoundError:
        return None
    [(file, facts)] = manifest["files"].items()
    return Download(file, facts["sha256"], facts["bytes"], f"{place}/{file}", store)


def place_in_store(dataset: Dataset, choice: Choice) -> str:
    """Where the store keeps the folder with this file."""
    return f"{place_of(dataset)}/{_folder_name(choice)}"


def folder_of(dataset: Dataset, choice: Choice) -> Path:
    """Where the folder with this file is made on this machine."""
    return export_folder(dataset) / _folder_name(choice)


def _folder_name(choice: Choice) -> str:
    return f"{choice.kind}.{choice.disagreement}.{choice.split}.{choice.format}"
