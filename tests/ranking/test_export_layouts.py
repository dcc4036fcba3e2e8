"""The layouts that other tools document, field by field."""

import json
import uuid
from io import BytesIO
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.export.choice import Choice
from ranking.export.folder import writer_of
from ranking.export.held import HeldPrompt
from ranking.export.kinds import rows_of
from tests.ranking.held_prompts import held, prompts

TWO = [[1, 2, 2], [2, 1, 3]]  # of two labelers
USER = [{"role": "user", "content": "Question p1?"}]


def rows(kind: str, *some: HeldPrompt, disagreement: str = "each") -> list[Any]:
    choice = Choice(kind=kind, disagreement=disagreement)
    sink = BytesIO()
    writer = writer_of(choice.format, sink)
    writer.write(rows_of(choice, some))
    writer.close()
    if choice.format == "json":
        found: list[Any] = json.loads(sink.getvalue())
        return found
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def turn(number: int) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": f"Answer {number} to p1."}]


def test_openrlhf_joins_lists_of_messages() -> None:
    first, *rest = rows("openrlhf", held(TWO))
    assert list(first.items()) == [
        ("prompt", USER),
        ("chosen", turn(1)),
        ("rejected", turn(2)),
        ("margin", 1),
        ("prompt_id", "p1"),
        ("ranking_id", "1"),
        ("labeler", "L-1"),
        ("weight", 0.5),
        ("prompt_weight", 0.25),
        ("split", "train"),
    ]
    assert len(rest) == 4
    # What its preprocess_data does with --apply_chat_template and --prompt_key.
    assert [one["role"] for one in first["prompt"] + first["chosen"]] == [
        "user",
        "assistant",
    ]


def test_nemo_has_two_completions_of_rank_0_and_1() -> None:
    [first, *_] = rows("nemo", held(TWO))
    assert first["context"] == USER
    assert first["completions"] == [
        {"rank": 0, "completion": turn(1)},
        {"rank": 1, "completion": turn(2)},
    ]
    assert list(first)[2:] == [
        *("prompt_id", "ranking_id", "labeler", "weight", "prompt_weight", "split")
    ]


def test_kto_labels_what_is_above_and_below_the_middle() -> None:
    found = rows("kto", held([[1, 2, 3, 3], [1, 2, 3, 4], [1, 1, 1, 1]]))
    labels = [(one["labeler"], one["completion"], one["label"]) for one in found]
    assert labels == [
        *(("L-1", turn(n), n < 3) for n in (1, 2, 3, 4)),
        *(("L-2", turn(n), n < 3) for n in (1, 2, 3, 4)),
    ]
    assert {one["weight"] for one in found} == {1 / 4}
    assert {one["prompt_weight"] for one in found} == {1 / 8}
    assert list(found[0]) == [
        *("prompt", "completion", "label", "prompt_id", "ranking_id", "labeler"),
        *("weight", "prompt_weight", "split"),
    ]


def test_kto_leaves_the_middle_out() -> None:
    found = rows("kto", held([[1, 2, 3]]))
    assert [(one["completion"], one["label"]) for one in found] == [
        (turn(1), True),
        (turn(3), False),
    ]
    assert [one["weight"] for one in found] == [0.5, 0.5]


@settings(deadline=None)
@given(prompts)
def test_a_kto_label_is_where_the_mean_rank_of_the_tier_stands(
    some: list[HeldPrompt],
) -> None:
    """Against the other way to say it: mid-rank above or below (K + 1) / 2."""
    expected = []
    for prompt in some:
        for order, by in zip(prompt.orders, prompt.said, strict=True):
            for text, rank in zip(prompt.texts, order, strict=True):
                above = sum(other < rank for other in order)
                middle = above + (order.count(rank) + 1) / 2 - (prompt.k + 1) / 2
                if middle:
                    expected.append((prompt.id, by.labeler, text, middle < 0))
    found = [
        (
            one["prompt_id"],
            one["labeler"],
            one["completion"][0]["content"],
            one["label"],
        )
        for one in rows("kto", *some)
    ]
    assert found == expected


def test_label_studio_puts_equal_ranks_into_one_bucket() -> None:
    [task] = rows("label-studio", held(TWO))
    assert task["data"] == {
        "prompt_id": "p1",
        "prompt": "Question p1?",
        "messages": USER,
        "items": [
            {"id": f"r{n}", "title": f"Response {n}", "body": f"Answer {n} to p1."}
            for n in (1, 2, 3)
        ],
        "split": "train",
        "tags": ["tag"],
    }
    first, second = task["annotations"]
    assert first["result"] == [
        {
            "from_name": "rank",
            "to_name": "responses",
            "type": "ranker",
            "value": {
                "ranker": {"rank-1": ["r1"], "rank-2": ["r2", "r3"], "rank-3": []}
            },
        }
    ]
    assert (first["labeler"], second["labeler"]) == ("L-1", "L-2")
    assert first["lead_time"] == 2.5
    assert first["created_at"] == "2026-03-01T08:30:00Z"
    assert (first["was_cancelled"], first["ground_truth"]) == (False, False)
    assert "completed_by" not in first
    assert first["unique_id"] != second["unique_id"]


def test_argilla_has_a_ranking_of_each_user() -> None:
    [record] = rows("argilla", held(TWO))
    assert record["external_id"] == "p1"
    assert record["fields"] == {
        "prompt": "Question p1?",
        **{f"response-{n}": f"Answer {n} to p1." for n in (1, 2, 3)},
    }
    assert record["metadata"]["response_ids"] == ["r1", "r2", "r3"]
    first, second = record["responses"]
    assert first["values"] == {
        "ranking": {
            "value": [
                {"value": "response-1", "rank": 1},
                {"value": "response-2", "rank": 2},
                {"value": "response-3", "rank": 2},
            ]
        }
    }
    assert first["status"] == "submitted"
    assert uuid.UUID(first["user_id"]) != uuid.UUID(second["user_id"])


def test_other_tools_see_no_model_s_name() -> None:
    for kind in ("label-studio", "argilla"):
        assert "a-model" not in json.dumps(rows(kind, held(TWO)))


def test_a_conversation_is_told_turn_by_turn() -> None:
    prompt = held([[1, 2]])
    prompt.messages[:] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    [record] = rows("argilla", prompt)
    assert record["fields"]["prompt"] == "user:\nHi\n\nassistant:\nHello\n\nuser:\nBye"


def test_labelers_together_have_no_labeler_and_no_ranking() -> None:
    expected = {
        "majority": ["share"],
        "soft": ["share"],
        "consensus": ["rank_gap"],
    }
    for disagreement, of_their_own in expected.items():
        prompt = held([[1, 2, 3], [1, 2, 2]])
        first, *_ = rows("pairs", prompt, disagreement=disagreement)
        assert list(first) == [
            *("prompt", "chosen", "rejected", "prompt_id", "labelers"),
            *("chosen_id", "rejected_id", *of_their_own),
            *("weight", "prompt_weight", "split"),
        ]
        assert first["labelers"] == 2


def test_a_consensus_of_rankings_is_one_row_a_prompt() -> None:
    [row] = rows("rankings", held(TWO), disagreement="consensus")
    # r1 and r2 are put either way: a split, so a tie. r3 comes last or ties with r2.
    assert (row["ranks"][0], row["labelers"]) == (1, 2)
    assert list(row) == [
        *("prompt_id", "prompt", "responses", "ranks", "labelers"),
        *("undecided_pairs", "split", "tags"),
    ]


@settings(deadline=None)
@given(prompts, st.sampled_from(["each", "consensus"]))
def test_kto_weights_add_up_to_one_for_each_prompt_with_a_row(
    some: list[HeldPrompt], disagreement: str
) -> None:
    sums: dict[str, float] = {}
    for row in rows("kto", *some, disagreement=disagreement):
        sums[row["prompt_id"]] = sums.get(row["prompt_id"], 0) + row["prompt_weight"]
    assert all(abs(one - 1) < 1e-9 for one in sums.values())
