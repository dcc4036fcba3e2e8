"""Gives prompts their split when they first enter a dataset, for good.

A prompt that would join two splits gets none, and enters no dataset: whoever learned
from the one half would be tested with the other.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from django.db import connection, models
from django.db.models import Exists, OuterRef
from numpy.typing import NDArray

from annotation.models import Prompt, Takedown
from annotation.turns import wait_for_turn
from ranking.models import PromptFingerprint, PromptSplit
from ranking.near_duplicates import (
    BANDS,
    VALUES,
    bands_of,
    shingles_of,
    signatures_of,
)
from ranking.split_groups import (
    FixedPrompts,
    Neighbours,
    NewPrompts,
    Place,
    look_for,
    place,
)
from ranking.splits import group_of

SPLIT_LOCK: Final = 0x53504C  # the first half of the advisory lock's key
EVERY_PROJECT: Final = 0
AT_ONCE: Final = 500
Row = TypeVar("Row")

WITHOUT_SPLIT: Final = """
SELECT asked FROM unnest(%s::bigint[]) AS asked
WHERE NOT EXISTS (SELECT FROM ranking_promptsplit WHERE prompt_id = asked)
ORDER BY asked"""
WITHOUT_FINGERPRINT: Final = """
SELECT asked FROM unnest(%s::bigint[]) AS asked
WHERE NOT EXISTS (SELECT FROM ranking_promptfingerprint WHERE prompt_id = asked)
ORDER BY asked"""
# Each band once, however many new prompts share it, and each fixed prompt once, however
# many bands: prompts of one template cost their number, not its square. OFFSET 0: one
# look into the index for each band, whatever the statistics say.
WITH_A_BAND: Final = """
SELECT DISTINCT fixed.prompt_id FROM unnest(%s::bigint[]) AS band
CROSS JOIN LATERAL (
    SELECT prompt_id FROM ranking_promptfingerprint
    WHERE bands @> ARRAY[band] OFFSET 0
) fixed"""
FIXED: Final = """
SELECT text_sha256, signature, "group", split
FROM ranking_promptfingerprint JOIN ranking_promptsplit USING (prompt_id)
WHERE prompt_id = ANY(%s)"""


def fix_splits(prompts: Sequence[int]) -> set[int]:
    """Give each of these prompts a split that has none; which ones were left out.

    1. Whoever places prompts waits for whoever else does, of any project, until that
       one's transaction ends: two projects that hold the same text find one split.
    2. Fingerprints are made of those that have none yet, and kept.
    3. What is fixed already is found by bands, and decides: `split_groups.place`.

    Needs a transaction. Memory: 700 bytes for each prompt that has no split.
    """
    if not _rows(WITHOUT_SPLIT, list(prompts)):
        return set()
    wait_for_turn(SPLIT_LOCK, EVERY_PROJECT)
    new = [prompt for (prompt,) in _rows(WITHOUT_SPLIT, list(prompts))]
    _fingerprint(_rows(WITHOUT_FINGERPRINT, new))
    _fingerprint(_fixed_without_fingerprint())
    keys, texts = _read(new)
    placed = place(texts, _neighbours(texts))
    found = {keys[index]: where for index, where in placed.items() if where}
    _copy(PromptSplit, ((prompt, *where) for prompt, where in sorted(found.items())))
    return set(new) - found.keys()


def _fixed_without_fingerprint() -> list[tuple[int]]:
    """Prompts that got their split before there were fingerprints."""
    of_it = OuterRef("prompt")
    rows = PromptSplit.objects.filter(
        ~Exists(PromptFingerprint.objects.filter(prompt=of_it)),
        ~Exists(Takedown.objects.filter(prompt=of_it)),
    )
    return list(rows.order_by("prompt").values_list("prompt"))


def _fingerprint(prompts: Sequence[tuple[int]]) -> None:
    """Not of a text that was taken down: what stands there is nobody's prompt."""
    for keys in _some(prompts):
        rows = Prompt.objects.filter(pk__in=[key for (key,) in keys], takedown=None)
        texts = list(rows.values_list("pk", "messages"))
        signatures = signatures_of(shingles_of(messages) for _, messages in texts)
        _copy(
            PromptFingerprint,
            (
                (
                    prompt,
                    group_of(messages),
                    signature.astype("<u4").tobytes(),
                    bands_of(signature),
                )
                for (prompt, messages), signature in zip(texts, signatures, strict=True)
            ),
        )


def _read(prompts: Sequence[int]) -> tuple[list[int], NewPrompts]:
    """The fingerprints of these prompts, in the order of the keys that come first."""
    keys: list[int] = []
    names: list[str] = []
    signatures = np.empty((len(prompts), VALUES), dtype=np.uint32)
    bands = np.empty((len(prompts), BANDS), dtype=np.int64)
    for some in _some(prompts):
        rows = PromptFingerprint.objects.filter(pk__in=some).order_by("pk")
        for one in rows.values_list("pk", "text_sha256", "signature", "bands"):
            signatures[len(keys)] = _values(one[2])
            bands[len(keys)] = one[3]
            keys.append(one[0])
            names.append(one[1])
    filled = slice(len(keys))
    return keys, NewPrompts(
        names=names, signatures=signatures[filled], bands=bands[filled]
    )


def _neighbours(texts: NewPrompts) -> dict[int, Neighbours]:
    """By index, what is fixed already and like the new prompt."""
    near: dict[int, Neighbours] = {}
    if not PromptSplit.objects.exists():
        return near
    for some in _some(range(len(texts.names))):
        bands = np.unique(texts.bands[some]).tolist()
        candidates = [key for (key,) in _rows(WITH_A_BAND, bands)]
        for keys in _some(candidates):
            look_for(texts, _fixed(keys), near, some=some)
        _add_named(near, {texts.names[index]: index for index in some})
    return near


def _fixed(keys: Sequence[int]) -> FixedPrompts:
    """Those of these prompts that have a split."""
    rows = _rows(FIXED, keys)
    signatures = b"".join(bytes(signature) for _, signature, *_ in rows)
    return FixedPrompts(
        names=[name for name, *_ in rows],
        signatures=_values(signatures).reshape(len(rows), VALUES),
        places=[Place(*where) for _, _, *where in rows],
    )


def _add_named(near: dict[int, Neighbours], names: dict[str, int]) -> None:
    """Twins whose text is gone, and with it their bands: their group has its name."""
    gone = PromptSplit.objects.filter(group__in=list(names), prompt__fingerprint=None)
    for group, split in gone.values_list("group", "split"):
        beside = near.setdefault(names[group], Neighbours())
        beside.twins.add(Place(group, split))


# --- Rows -------------------------------------------------------------------------


def _values(signature: bytes | memoryview) -> NDArray[np.uint32]:
    return np.frombuffer(signature, dtype="<u4").astype(np.uint32)


def _some(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]


def _rows(statement: str, keys: Sequence[int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(keys)])
        return list(cursor.fetchall())


def _copy(model: type[models.Model], rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows by COPY, in the order of the model's columns; its own key is left out."""
    columns = [
        f'"{field.column}"'
        for field in model._meta.concrete_fields
        if not isinstance(field, models.AutoField)
    ]
    table = model._meta.db_table
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)
