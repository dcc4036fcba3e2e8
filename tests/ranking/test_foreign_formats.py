"""What other people's files say comes out as our prompts and rankings, or not at all.

The examples have the layouts that the formats' own documents show; the texts are ours.
"""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.jsonl import UnreadableFile
from annotation.strict_json import Refused
from ranking.foreign import argilla, kwise, label_studio, oasst, trl
from ranking.foreign.formats import FORMATS, ForeignFile
from ranking.foreign.judged import Answer, Judged, Order, our_lines, ranks_of

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
USER = {"role": "user", "content": "What colour is the sky?"}
BLUE, GREEN = (
    {"role": "assistant", "content": f"It is {colour}."} for colour in ("blue", "green")
)
SKY = USER["content"]


def only(found: list[Judged]) -> tuple[Any, list[str], list[tuple[str, list[int]]]]:
    """(prompt, texts, [(labeler, ranks)]) of the one prompt that was found."""
    (judged,) = found
    texts = [answer.text for answer in judged.answers]
    orders = [(order.labeler, list(order.ranks)) for order in judged.orders]
    return judged.prompt, texts, orders


def refused(read: Any, record: dict[str, Any]) -> str:
    with pytest.raises(Refused) as caught:
        read(record)
    return caught.value.code


def records(shape: str, raw: bytes, **columns: str) -> list[Any]:
    file = ForeignFile(FORMATS[shape], io.BytesIO(raw), columns=columns)
    return [(line.number, line.byte_offset, ours) for line, ours in file]


# --- TRL --------------------------------------------------------------------------

PAIR = ["It is blue.", "It is green."]
TRL_ROWS: dict[str, tuple[dict[str, Any], Any]] = {
    "explicit, plain": (
        {"prompt": SKY, "chosen": PAIR[0], "rejected": PAIR[1]},
        (SKY, PAIR),
    ),
    "explicit, conversational": (
        {"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]},
        ([USER], PAIR),
    ),
    "implicit, conversational": (
        {"chosen": [USER, BLUE], "rejected": [USER, GREEN]},
        ([USER], PAIR),
    ),
    "a prompt beside whole conversations": (
        {"prompt": SKY, "chosen": [USER, BLUE], "rejected": [USER, GREEN]},
        ([USER], PAIR),
    ),
    "implicit, plain": (
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        ("The sky is", [" blue.", " green."]),
    ),
    "hh-rlhf": (
        {
            "chosen": f"\n\nHuman: {SKY}\n\nAssistant: It is blue.",
            "rejected": f"\n\nHuman: {SKY}\n\nAssistant: It is green.",
        },
        ([USER], PAIR),
    ),
}


@pytest.mark.parametrize("layout", TRL_ROWS)
def test_a_preference_pair_is_a_prompt_with_two_ranked_responses(layout: str) -> None:
    row, (prompt, texts) = TRL_ROWS[layout]
    assert only(trl.read(row)) == (prompt, texts, [("trl", [1, 2])])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": SKY, "chosen": "a"}, "missing_field"),
        ({"prompt": SKY, "chosen": "a", "rejected": [GREEN]}, "wrong_type"),
        ({"prompt": SKY, "chosen": 1, "rejected": 2}, "wrong_type"),
        ({"chosen": "Blue.", "rejected": "Green."}, "missing_field"),
        ({"chosen": [USER, BLUE], "rejected": [BLUE, GREEN]}, "wrong_type"),
        ({"chosen": [BLUE], "rejected": [GREEN]}, "wrong_type"),
        (
            {"prompt": "X", "chosen": [USER, BLUE], "rejected": [USER, GREEN]},
            "wrong_type",
        ),
        ({"prompt": [], "chosen": [BLUE], "rejected": [GREEN]}, "wrong_type"),
        ({"prompt": SKY, "chosen": [USER], "rejected": [USER]}, "wrong_type"),
    ],
)
def test_a_pair_that_is_none_is_refused(row: dict[str, Any], code: str) -> None:
    assert refused(trl.read, row) == code


def test_a_pair_that_stands_the_other_way_round_is_the_same_prompt() -> None:
    one, other = (
        our_lines(trl.read({"prompt": SKY, "chosen": a, "rejected": b})[0], "trl")
        for a, b in (PAIR, PAIR[::-1])
    )
    assert one.prompt["id"] == other.prompt["id"]
    by_id = [
        sorted(found.prompt["responses"], key=lambda r: r["id"])
        for found in (one, other)
    ]
    assert by_id[0] == by_id[1]
    assert one.rankings[0]["ranks"] == {"r1": 1, "r2": 2}
    assert other.rankings[0]["ranks"] == {"r1": 2, "r2": 1}
    assert one.rankings[0]["id"] != other.rankings[0]["id"]


# --- K responses a row ------------------------------------------------------------

KWISE_ROWS: dict[str, tuple[dict[str, Any], list[str], Any]] = {
    "ranks beside texts": (
        {
            "prompt": SKY,
            "responses": ["a", "b", "c"],
            "ranks": [2, 1, 2],
            "labeler": 17,
        },
        ["a", "b", "c"],
        ("17", [2, 1, 2]),
    ),
    "scores beside texts": (
        {"prompt": SKY, "responses": ["a", "b", "c"], "scores": [0.5, 9, 0.5]},
        ["a", "b", "c"],
        ("kwise", [2, 1, 2]),
    ),
    "UltraFeedback": (
        {
            "source": "x",
            "instruction": SKY,
            "models": ["m1", "m2"],
            "completions": [
                {"model": "m1", "response": "a", "overall_score": 7.5, "critique": "…"},
                {"model": "m2", "response": "b", "overall_score": 8.0, "critique": "…"},
            ],
        },
        ["a", "b"],
        ("kwise", [2, 1]),
    ),
    "Nectar": (
        {
            "prompt": f"\n\nHuman: {SKY}\n\nAssistant: ",
            "answers": [
                {"answer": "a", "model": "m1", "rank": 2.0},
                {"answer": "b", "model": "m2", "rank": 1.0},
            ],
        },
        ["a", "b"],
        ("kwise", [2, 1]),
    ),
    "NeMo": (
        {
            "context": [USER],
            "completions": [
                {"rank": 0, "completion": [BLUE]},
                {"rank": 1, "completion": [GREEN]},
            ],
        },
        PAIR,
        ("kwise", [0, 1]),
    ),
}


@pytest.mark.parametrize("layout", KWISE_ROWS)
def test_a_row_of_k_responses_is_one_ranking(layout: str) -> None:
    row, texts, order = KWISE_ROWS[layout]
    prompt, found, orders = only(kwise.read(row))
    assert (found, orders) == (texts, [order])
    assert prompt in (SKY, [USER])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ranks": None}, "missing_field"),
        ({"ranks": [1, None, 2]}, "incomplete"),
        ({"ranks": [1, 2]}, "incomplete"),
        ({"ranks": [1, 2, "third"]}, "wrong_type"),
        ({"ranks": [1, 2, True]}, "wrong_type"),
        ({"ranks": [1, 2, float("inf")]}, "nan"),
        ({"responses": []}, "wrong_type"),
        ({"responses": ["a", 2, "c"]}, "wrong_type"),
        ({"prompt": None}, "missing_field"),
        ({"prompt": 3}, "wrong_type"),
    ],
)
def test_a_row_without_a_whole_ranking_is_refused(
    change: dict[str, Any], code: str
) -> None:
    row = {"prompt": SKY, "responses": ["a", "b", "c"], "ranks": [1, 2, 3]} | change
    assert refused(kwise.read, row) == code


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_ranks_from_scores_keep_their_order(scores: list[int]) -> None:
    ranks = ranks_of(scores, best="highest")
    for a, one in enumerate(scores):
        for b, other in enumerate(scores):
            assert (one > other) is (ranks[a] < ranks[b])
    assert ranks_of([-score for score in scores], best="lowest") == [
        -score for score in scores
    ]


# --- Label Studio -----------------------------------------------------------------


def task(**fields: Any) -> dict[str, Any]:
    items = [
        {"id": name, "title": name.upper(), "body": f"Answer {name}."}
        for name in ("mdn", "wiki", "blog")
    ]
    return {
        "id": 7,
        "data": {"prompt": SKY, "items": items},
        "annotations": [annotation(["wiki", "blog", "mdn"])],
    } | fields


def annotation(ranked: Any, **fields: Any) -> dict[str, Any]:
    result = {
        "value": {"ranker": {"rank": ranked}},
        "id": "PpwBv_NMxd",
        "from_name": "rank",
        "to_name": "results",
        "type": "ranker",
    }
    return {
        "id": 1001,
        "completed_by": 10,
        "result": [result],
        "was_cancelled": False,
        "lead_time": 4.288,
        "created_at": "2026-03-09T22:16:08.728353Z",
    } | fields


def test_a_label_studio_task_has_a_ranking_of_each_annotator() -> None:
    second = annotation(
        ["mdn", "wiki", "blog"],
        id=1002,
        completed_by={"id": 3, "email": "v@example.org"},
    )
    cancelled = annotation(["mdn", "wiki", "blog"], id=1003, was_cancelled=True)
    found = label_studio.read(
        task(annotations=[*task()["annotations"], second, cancelled])
    )
    assert only(found) == (
        SKY,
        ["Answer mdn.", "Answer wiki.", "Answer blog."],
        [("annotator 10", [3, 1, 2]), ("v@example.org", [1, 2, 3])],
    )
    lines = our_lines(found[0], "label-studio")
    assert lines.prompt["id"] == "label-studio-7"
    assert lines.rankings[0] == {
        "id": "label-studio-1001",
        "prompt_id": "label-studio-7",
        "labeler": "annotator 10",
        "ranks": {"mdn": 3, "wiki": 1, "blog": 2},
        "seconds": 4.288,
        "submitted_at": "2026-03-09T22:16:08.728353Z",
    }


def test_a_ranker_of_old_is_a_list() -> None:
    ranked = annotation(None)
    ranked["result"][0]["value"]["ranker"] = ["mdn", "wiki", "blog"]
    assert only(label_studio.read(task(annotations=[ranked])))[2] == [
        ("annotator 10", [1, 2, 3])
    ]


BUCKETS = annotation(None)
BUCKETS["result"][0]["value"]["ranker"] = {"good": ["mdn"], "bad": ["wiki", "blog"]}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"data": None}, "missing_field"),
        ({"data": {"prompt": SKY}}, "missing_field"),
        ({"annotations": [annotation(["mdn", "wiki"])]}, "incomplete"),
        ({"annotations": [annotation(["mdn", "wiki", "wiki"])]}, "incomplete"),
        ({"annotations": [annotation("mdn")]}, "wrong_type"),
        ({"annotations": [BUCKETS]}, "wrong_type"),
        ({"annotations": ["x"]}, "wrong_type"),
    ],
)
def test_a_task_that_does_not_tell_the_order_is_refused(
    fields: dict[str, Any], code: str
) -> None:
    assert refused(label_studio.read, task(**fields)) == code


# --- Argilla ----------------------------------------------------------------------

FIELDS = {"instruction": SKY, "response-1": "a", "response-2": "b"}
NESTED = {
    "id": "rec-1",
    "fields": FIELDS,
    "metadata": {},
    "suggestions": {},
    "responses": {
        "preference": [
            {"value": ["response-2", "response-1"], "user_id": "u1"},
            {"value": ["response-1", "response-2"], "user_id": "u2", "status": "draft"},
            {
                "value": [
                    {"value": "response-1", "rank": 1},
                    {"value": "response-2", "rank": 1},
                ],
                "user_id": "u3",
                "status": "submitted",
            },
        ],
        "why": [{"value": "because", "user_id": "u1"}],
    },
}
FLAT = FIELDS | {
    "id": "rec-1",
    "preference.responses": [
        ["response-2", "response-1"],
        ["response-1", "response-2"],
    ],
    "preference.responses.users": ["u1", "u2"],
    "preference.responses.status": ["submitted", "draft"],
    "preference.suggestion": None,
}


def test_an_argilla_record_has_a_ranking_of_each_user_who_submitted() -> None:
    assert only(argilla.read(NESTED)) == (
        SKY,
        ["a", "b"],
        [("u1", [2, 1]), ("u3", [1, 1])],
    )
    assert only(argilla.read(FLAT)) == (SKY, ["a", "b"], [("u1", [2, 1])])
    ids = {
        our_lines(argilla.read(one)[0], "argilla").prompt["id"]
        for one in (NESTED, FLAT)
    }
    assert ids == {"argilla-rec-1"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (["response-2", "response-3"], "unknown_response"),
        (["response-2", "response-2"], "duplicate_id"),
        ("blue", "missing_field"),
        ([], "missing_field"),
    ],
)
def test_a_record_that_ranks_something_else_is_refused(value: Any, code: str) -> None:
    responses = {"preference": [{"value": value, "user_id": "u1"}]}
    assert refused(argilla.read, NESTED | {"responses": responses}) == code


# --- OpenAssistant ----------------------------------------------------------------


def message(name: str, role: str, *replies: Any, rank: int | None = None) -> Any:
    return {
        "message_id": name,
        "text": f"Text {name}.",
        "role": role,
        "lang": "en",
        "rank": rank,
        "deleted": False,
        "replies": list(replies),
    }


TREE = {
    "message_tree_id": "m0",
    "tree_state": "ready_for_export",
    "prompt": message(
        "m0",
        "prompter",
        message(
            "m1",
            "assistant",
            message(
                "m4",
                "prompter",
                message("m5", "assistant", rank=1),
                message("m6", "assistant", rank=0),
            ),
            message("m7", "prompter", message("m8", "assistant")),
            rank=1,
        ),
        message("m2", "assistant", rank=0),
        message("m3", "assistant", rank=None),
    ),
}


def test_every_ranked_place_of_a_tree_is_a_prompt_with_what_was_said_above() -> None:
    first, second = oasst.read(TREE)
    assert only([first]) == (
        [{"role": "user", "content": "Text m0."}],
        ["Text m1.", "Text m2."],
        [("OpenAssistant", [1, 0])],
    )
    assert only([second]) == (
        [
            {"role": "user", "content": "Text m0."},
            {"role": "assistant", "content": "Text m1."},
            {"role": "user", "content": "Text m4."},
        ],
        ["Text m5.", "Text m6."],
        [("OpenAssistant", [1, 0])],
    )
    assert our_lines(second, "oasst").prompt["id"] == "oasst-m4"


def test_a_tree_in_which_nothing_is_ranked_gives_nothing() -> None:
    assert oasst.read({"prompt": message("m0", "prompter")}) == []


@pytest.mark.parametrize(
    "tree",
    [
        {"message_tree_id": "m0"},
        {"prompt": "m0"},
        {"prompt": message("m0", "system")},
        {"prompt": message("m0", "prompter") | {"text": None}},
        {"prompt": message("m0", "prompter") | {"replies": "none"}},
    ],
)
def test_a_tree_of_something_else_is_refused(tree: dict[str, Any]) -> None:
    assert refused(oasst.read, tree) in ("missing_field", "wrong_type")


# --- CSV --------------------------------------------------------------------------

WIDE = """prompt,labeler,response_1,rank_1,response_2,rank_2,response_3,rank_3
"What colour is the sky?",vera,"Blue, mostly.",1,"It is
""green"".",2,,
Why?,otto,a,1,b,1,c,3
"""
LONG = """Prompt;Labeler;Response;Rank
Why?;vera;a;2
Why?;vera;b;1
Why?;otto;a;1
Why?;otto;b;1
"""


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_wide_table_has_a_ranking_a_row(start: bytes, end: str) -> None:
    raw = start + WIDE.replace("\n", end).encode()
    (first, offset, (one,)), (second, _, (other,)) = records("csv", raw)
    assert raw[offset:].startswith(b'"What')
    assert (first, second) == (2, 4)
    assert [r["text"] for r in one.prompt["responses"]] == [
        "Blue, mostly.",
        f'It is{end}"green".',
    ]
    assert one.rankings[0]["labeler"] == "vera"
    assert sorted(other.rankings[0]["ranks"].values()) == [1, 1, 3]


def test_a_long_table_has_a_response_a_row() -> None:
    found = records("csv", LONG.encode())
    assert [number for number, _, _ in found] == [2, 4]
    (_, _, (vera,)), (_, _, (otto,)) = found
    assert vera.prompt == otto.prompt
    assert (vera.rankings[0]["labeler"], vera.rankings[0]["ranks"]) == (
        "vera",
        {"r1": 2, "r2": 1},
    )
    assert otto.rankings[0]["ranks"] == {"r1": 1, "r2": 1}


def test_a_cell_may_be_as_long_as_a_text() -> None:
    long = "x" * 1_000_000
    ((_, _, (found,)),) = records(
        "csv", f"prompt,response,rank\nWhy?,{long},1\nWhy?,b,2\n".encode()
    )
    assert long in [response["text"] for response in found.prompt["responses"]]


def test_columns_may_be_called_otherwise() -> None:
    raw = b"Frage\tresponse\trank\nWhy?\ta\t1\nWhy?\tb\t2\n"
    ((_, _, (found,)),) = records("csv", raw, Frage="prompt")
    assert found.prompt["prompt"] == "Why?"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"Why?,vera,a,1,b", "bad_csv"),
        (b"Why?,vera,a,1,b,2,,,", "bad_csv"),
        (b'Why?,vera,a,1,"b"x,2,,', "bad_csv"),
        (b'Why?,vera,a,1,"b,2,,', "bad_csv"),
        (b"Why?,vera,a,1,b,,,", "incomplete"),
        (b"Why?,vera,a,1,b,second,,", "wrong_type"),
        (b"Why?,vera,,,,,,", "missing_field"),
        (b"Why?,vera,a,1,\xe9,2,,", "bad_utf8"),
        (b"Why?,vera,a,1,b\0,2,,", "nul"),
    ],
)
def test_a_row_that_is_no_ranking_is_refused(row: bytes, code: str) -> None:
    header = WIDE.encode().splitlines()[0]
    ((number, offset, found),) = records("csv", header + b"\n" + row)
    assert isinstance(found, Refused)
    assert (number, offset, found.code) == (2, len(header) + 1, code)


@pytest.mark.parametrize(
    "raw", [b"question,answer\na,b\n", b"prompt,prompt,response,rank\n", b"\xff\xfea\0"]
)
def test_a_table_without_our_columns_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(UnreadableFile, match="first row"):
        records("csv", raw)


# --- All of them ------------------------------------------------------------------

NUMBERS = st.integers(-5, 5) | st.floats() | st.none() | TEXTS
KEYS = (
    *("prompt", "chosen", "rejected", "responses", "ranks", "completions", "rank"),
    *("text", "data", "id", "annotations", "result", "type", "value"),
    *("ranker", "fields", "role", "replies", "content", "rows", "response"),
    *("user_id", "p.responses"),
)
ANYTHING = st.recursive(
    NUMBERS,
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inside,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("shape", sorted(set(FORMATS) - {"csv"}))
def test_whatever_a_record_holds_it_is_read_or_refused(shape: str) -> None:
    read = FORMATS[shape].read

    @given(record=st.dictionaries(st.text(max_size=4), ANYTHING) | ANYTHING)
    def check(record: Any) -> None:
        if not isinstance(record, dict):
            return
        try:
            found = read(record)
        except Refused:
            return
        for judged in found:
            for order in judged.orders:
                assert len(order.ranks) == len(judged.answers)

    check()


@given(raw=st.binary() | TEXTS.map(lambda text: (WIDE + text).encode()))
def test_whatever_a_table_holds_its_rows_are_read_or_refused(raw: bytes) -> None:
    try:
        found = records("csv", raw)
    except UnreadableFile:
        return
    assert all(isinstance(ours, list | Refused) for _, _, ours in found)


@st.composite
def judgements(draw: st.DrawFn) -> Judged:
    """A prompt, its answers, and two labelers' orders of them, ties included."""
    count = draw(st.integers(2, 9))
    answers = [Answer(draw(TEXTS), model=f"m{n}") for n in range(count)]
    ranks = st.lists(st.integers(1, 9), min_size=count, max_size=count)
    orders = [Order(name, draw(ranks)) for name in ("vera", "otto")]
    return Judged(
        draw(TEXTS.filter(lambda t: t.strip("\n\r \t") != "")), answers, orders
    )


def ranked_texts(ours: Any) -> list[tuple[str, list[tuple[str, int]]]]:
    """[(labeler, [(text, rank)])] of all that was found, whatever the ids."""
    return [
        (
            ranking["labeler"],
            sorted(
                (response["text"], ranking["ranks"][response["id"]])
                for response in one.prompt["responses"]
            ),
        )
        for one in ours
        for ranking in one.rankings
    ]


@given(judged=judgements())
def test_a_ranking_written_in_each_format_comes_back_as_it_was(judged: Judged) -> None:
    texts = [answer.text for answer in judged.answers]
    wanted = ranked_texts([our_lines(judged, "x")])
    written = {
        "kwise": [
            {
                "prompt": [{"role": "user", "content": judged.prompt}],
                "responses": texts,
                "ranks": order.ranks,
                "labeler": order.labeler,
            }
            for order in judged.orders
        ],
        "argilla": [
            {
                "fields": {"prompt": judged.prompt}
                | {f"r{n}": text for n, text in enumerate(texts)},
                "responses": {
                    "rank": [
                        {
                            "user_id": order.labeler,
                            "value": [
                                {"value": f"r{n}", "rank": rank}
                                for n, rank in enumerate(order.ranks)
                            ],
                        }
                        for order in judged.orders
                    ]
                },
            }
        ],
    }
    for shape, rows in written.items():
        raw = json.dumps(rows).encode()
        found = [one for _, _, ours in records(shape, raw) for one in ours]
        assert ranked_texts(found) == wanted
