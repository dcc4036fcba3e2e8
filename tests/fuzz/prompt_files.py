"""Whatever a prompts file holds, its import says the same twice and stores what stood
there, byte for byte."""

import gzip
import io
import json
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from hypothesis import strategies as st

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.imports import import_prompts
from annotation.jsonl import BOM, UnreadableFile
from annotation.models import Project, Prompt, Purpose
from tests.fuzz.json_texts import ANYTHING, SCALARS, TEXTS, documents, mostly
from tests.fuzz.search import Fuzzer

IDS = st.sampled_from(["p1", "p2", "p3"]) | TEXTS
RESPONSE_IDS = st.sampled_from(["r1", "r2", "r3", "r4"]) | TEXTS
PARAMS = st.dictionaries(
    st.sampled_from(["finish_reason", "temperature", ""]) | TEXTS, SCALARS, max_size=3
)
RESPONSE = st.fixed_dictionaries(
    {"id": mostly(RESPONSE_IDS), "text": mostly(TEXTS)},
    optional={"model": mostly(TEXTS), "params": mostly(PARAMS)},
)
TURN = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "user", "assistant", "system", "tool"]),
        "content": mostly(TEXTS),
    }
)
RANKS = st.dictionaries(RESPONSE_IDS, st.integers(-3, 3), max_size=4)
LINE = st.fixed_dictionaries(
    {
        "id": mostly(IDS),
        "prompt": mostly(TEXTS | st.lists(TURN, max_size=3)),
    },
    optional={
        "responses": mostly(st.lists(mostly(RESPONSE), min_size=2, max_size=5)),
        "tags": mostly(st.lists(TEXTS, max_size=3)),
        "purpose": mostly(st.sampled_from(Purpose.values)),
        "gold": mostly(RANKS),
        "metadata": mostly(PARAMS),
        "priority": mostly(st.integers(-5, 5)),
        "unknown": ANYTHING,
    },
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b" \n", b"\r"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A few lines, whole or damaged, plain or gzipped, whole or cut off."""
    lines = draw(st.lists(documents(mostly(LINE)), max_size=6))
    raw = b"".join(
        (BOM if draw(st.integers(0, 9)) == 7 else b"") + line + draw(ENDS)
        for line in lines
    )
    if draw(st.integers(0, 9)) == 7:
        raw = gzip.compress(raw, mtime=0)
    if draw(st.integers(0, 9)) == 7:
        raw = raw[: draw(st.integers(0, len(raw)))]
    return raw


def imported(project: Project, raw: bytes, mode: ImportMode) -> ImportReport | None:
    """The report; None for a file that is broken as a whole."""
    try:
        return import_prompts(project, io.BytesIO(raw), mode=mode)
    except UnreadableFile:
        return None


def good_lines(raw: bytes, report: ImportReport) -> Iterator[Any]:
    """What the lines say that were not refused, as the standard library reads it."""
    refused = {one.line for one in report.problems if one.level == "error"}
    plain = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    for number, line in enumerate(plain.split(b"\n"), 1):
        if line.strip() and number not in refused:
            yield json.loads(line.removeprefix(BOM).decode())


def turns(prompt: Any) -> Any:
    """A plain text is one user turn."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return prompt


def check_stored(project: Project, raw: bytes, report: ImportReport) -> None:
    """Every good line is there as it stood, and nothing else is."""
    lines = {fields["id"]: fields for fields in good_lines(raw, report)}
    prompts = Prompt.objects.filter(project=project).prefetch_related("responses")
    assert {prompt.external_id for prompt in prompts} == set(lines)
    for prompt in prompts:
        line = lines[prompt.external_id]
        assert prompt.messages == turns(line["prompt"])
        assert prompt.metadata == (line.get("metadata") or {})
        found = [
            (one.external_id, one.text, one.model, one.params)
            for one in prompt.responses.all()
        ]
        given = [
            (one["id"], one["text"], one.get("model"), one.get("params") or {})
            for one in line.get("responses") or []
        ]
        assert sorted(found, key=repr) == sorted(given, key=repr)


def check(raw: bytes) -> None:
    """A dry run, the import, and the import again, all undone in the end."""
    with transaction.atomic():
        project = Project.objects.create(slug="fuzz", title="Fuzz")
        dry = imported(project, raw, ImportMode.DRY_RUN)
        assert not Prompt.objects.exists()
        done = imported(project, raw, ImportMode.PARTIAL)
        assert dry == done
        if done is None:
            assert not Prompt.objects.exists()
        else:
            assert done.lines == done.imported + done.unchanged + done.refused
            assert done.unchanged == 0
            check_stored(project, raw, done)
            again = imported(project, raw, ImportMode.PARTIAL)
            assert again is not None
            assert (again.imported, again.unchanged) == (0, done.imported)
            assert Prompt.objects.count() == done.imported
        transaction.set_rollback(True)


FUZZER = Fuzzer(inputs=files(), check=check)
