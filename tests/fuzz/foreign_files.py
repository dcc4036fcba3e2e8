"""Whatever a file of another tool holds, its import says the same twice, stores nothing
that is refused, and finds all that it stored the next time."""

import csv
import io
import json

from django.db import transaction
from hypothesis import strategies as st

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.jsonl import UnreadableFile
from annotation.models import Project, Prompt
from ranking.foreign.formats import FORMATS
from ranking.foreign_imports import import_foreign
from ranking.models import Ranking
from tests.fuzz.json_texts import TEXTS, documents, mostly
from tests.fuzz.search import Fuzzer

IDS = st.sampled_from(["a", "b", "c", 1, 2, "response-1", "response-2"]) | TEXTS
SAID = TEXTS | st.sampled_from(["\n\nHuman: Why?\n\nAssistant: So.", "Why?", "So."])
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "prompter"]),
            "content": mostly(SAID),
        }
    ),
    max_size=3,
)
RANKS = st.integers(-1, 9) | st.floats() | st.none() | st.sampled_from(["1", "x", ""])
PAIR = st.fixed_dictionaries(
    {"chosen": mostly(SAID | TURNS), "rejected": mostly(SAID | TURNS)},
    optional={"prompt": mostly(SAID | TURNS), "labeler": mostly(TEXTS)},
)
RANKED = st.fixed_dictionaries(
    {"text": mostly(SAID), "rank": mostly(RANKS)},
    optional={"id": mostly(IDS), "model": mostly(TEXTS), "score": mostly(RANKS)},
)
KWISE = st.fixed_dictionaries(
    {
        "prompt": mostly(SAID | TURNS),
        "responses": mostly(st.lists(mostly(RANKED | SAID), max_size=4)),
    },
    optional={"ranks": mostly(st.lists(RANKS, max_size=4)), "id": mostly(IDS)},
)
ITEMS = st.lists(
    st.fixed_dictionaries({"id": mostly(IDS), "body": mostly(SAID)}), max_size=4
)
ORDERED = st.lists(IDS, max_size=4)
BUCKETS = st.dictionaries(
    st.sampled_from(["rank", "rank-1", "rank-2", "good"]), mostly(ORDERED), max_size=3
)
RESULT = st.fixed_dictionaries(
    {
        "type": mostly(st.just("ranker")),
        "value": mostly(st.fixed_dictionaries({"ranker": mostly(BUCKETS | ORDERED)})),
    }
)
TASK = st.fixed_dictionaries(
    {
        "data": mostly(
            st.fixed_dictionaries({"prompt": mostly(SAID), "items": mostly(ITEMS)})
        ),
        "annotations": mostly(
            st.lists(
                mostly(
                    st.fixed_dictionaries(
                        {"result": mostly(st.lists(mostly(RESULT), max_size=2))},
                        optional={"id": mostly(IDS), "lead_time": mostly(RANKS)},
                    )
                ),
                max_size=2,
            )
        ),
    }
)
VALUE = st.lists(
    mostly(st.fixed_dictionaries({"value": mostly(IDS), "rank": mostly(RANKS)}) | IDS),
    max_size=3,
)
GIVEN = st.fixed_dictionaries(
    {"user_id": mostly(IDS)},
    optional={
        "value": mostly(VALUE),
        "values": mostly(
            st.fixed_dictionaries({"q": mostly(st.builds(dict, value=VALUE))})
        ),
        "status": mostly(st.sampled_from(["submitted", "draft"])),
    },
)
RECORD = st.fixed_dictionaries(
    {
        "fields": mostly(
            st.dictionaries(
                st.sampled_from(["prompt", "response-1", "response-2", "a", "b"]),
                mostly(SAID),
            )
        ),
        "responses": mostly(
            st.lists(mostly(GIVEN), max_size=2)
            | st.fixed_dictionaries({"q": mostly(st.lists(mostly(GIVEN), max_size=2))})
        ),
    }
)
MESSAGE = st.fixed_dictionaries(
    {"role": mostly(st.sampled_from(["prompter", "assistant"])), "text": mostly(SAID)},
    optional={"rank": mostly(RANKS), "message_id": mostly(IDS)},
)
NODES = st.recursive(
    MESSAGE,
    lambda inner: st.builds(
        lambda node, replies: node | {"replies": replies},
        MESSAGE,
        mostly(st.lists(mostly(inner), max_size=3)),
    ),
    max_leaves=6,
)
TREE = st.fixed_dictionaries({"prompt": mostly(NODES)})
RECORDS = {
    "trl": PAIR,
    "kwise": KWISE,
    "label-studio": TASK,
    "argilla": RECORD,
    "oasst": TREE,
}


@st.composite
def json_files(draw: st.DrawFn, shape: str) -> bytes:
    """A few records as lines or as one array, of which some are damaged."""
    records = draw(st.lists(documents(mostly(RECORDS[shape])), max_size=4))
    if draw(st.booleans()):
        return b"\n".join(records)
    return b"[" + b",\n".join(records) + b"]"


COLUMNS = ["prompt", "response", "rank", "response_1", "response_2", "rank_1", "rank_2"]
CELLS = TEXTS | st.sampled_from(["1", "2", "Why?", "So.", 'a "b"', "x\ny", "=1+1"])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A table of either shape, or of neither; now and then with bytes of no text."""
    shapes = [COLUMNS[:3], [COLUMNS[0], *COLUMNS[3:]]]
    names = draw(st.sampled_from(shapes) | st.permutations(COLUMNS))
    rows = draw(st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=5))
    text = io.StringIO()
    csv.writer(text).writerows([names, *rows])
    raw = text.getvalue().encode("utf-8", "surrogatepass")
    return raw + draw(st.sampled_from([b"", b"", b'"', b"\xff", b"\r"]))


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A format, and a file that may be in it."""
    shape = draw(st.sampled_from(sorted(FORMATS)))
    return shape, draw(tables() if shape == "csv" else json_files(shape))


def imported(
    project: Project, shape: str, raw: bytes, mode: ImportMode
) -> ImportReport | None:
    """The report; None for a file that is broken as a whole."""
    try:
        return import_foreign(project, io.BytesIO(raw), shape=shape, mode=mode)
    except UnreadableFile:
        return None


def check(given: tuple[str, bytes]) -> None:
    """A dry run, the import, and the import again, all undone in the end."""
    shape, raw = given
    with transaction.atomic():
        project = Project.objects.create(slug="fuzz", title="Fuzz", archive=True)
        dry = imported(project, shape, raw, ImportMode.DRY_RUN)
        assert not Prompt.objects.exists()
        done = imported(project, shape, raw, ImportMode.PARTIAL)
        assert dry == done
        if done is None:
            assert not Prompt.objects.exists()
        else:
            assert done.lines == done.imported + done.unchanged + done.refused
            assert bool(done.imported) is Prompt.objects.exists()
            json.dumps(done.as_json())
            stored = Prompt.objects.count(), Ranking.objects.count()
            again = imported(project, shape, raw, ImportMode.PARTIAL)
            assert again is not None
            assert (again.imported, again.refused) == (0, done.refused)
            assert (Prompt.objects.count(), Ranking.objects.count()) == stored
        transaction.set_rollback(True)


FUZZER = Fuzzer(inputs=files(), check=check)
