"""Responses that say who wrote them, and responses whose end is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.text_signs import (
    ANY_NAME,
    BETWEEN_WORDS,
    IDENTITY,
    MAKERS,
    MODELS,
    is_truncated,
    names_a_model,
)
from tests.real_data import real_records


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model developed by OpenAI, I cannot do that.",
        "As a large language model trained by Google, I have no body.",
        "as an artificial intelligence created by Anthropic I must decline",
        "Hello! I am ChatGPT. How can I help?",
        "I'm Claude, an AI assistant made by Anthropic.",
        "I\u2019m Gemini.",
        "I am **Claude**.",
        "I am\nChatGPT",
        "I am not ChatGPT, but I can help.",
        "Sure. My name is Vicuna, and I live in a data centre.",
        "As ChatGPT, I do not have feelings.",
        "I am an AI assistant called Qwen2.5-Instruct.",
        "I'm a language model named LLaMA-2, so no.",
        "I am a helpful AI assistant, Claude 3 Opus.",
        "I was trained by researchers at Google to be useful.",
        "I was created by the team of Stability AI.",
        "I have been developed by Large Model Systems Organization.",
        "I was designed and trained by OpenAI.",
        "I am GPT-4, a model.",
    ],
)
def test_a_text_that_says_which_model_it_is_from_is_found(text: str) -> None:
    assert names_a_model(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "As an AI language model, I cannot do that.",
        "I am a language model and have no opinion.",
        "ChatGPT is a language model developed by OpenAI.",
        "GPT-4 was trained by OpenAI; Claude comes from Anthropic.",
        "I am a Gemini, born in June.",
        "I am Claude Monet, and I paint water lilies.",
        "I'm a falcon, and I was raised by a falconer.",
        "As a bard, I sing.",
        "I was trained by my father. Google was founded in 1998.",
        "I am going to use Google to find it.",
        "My name is Claudette.",
        "I am Geminiano.",
        "As Claude Shannon, the engineer, showed",
    ],
)
def test_a_text_that_only_speaks_of_models_is_left_alone(text: str) -> None:
    assert not names_a_model(text)


@given(st.text(), st.text())
def test_a_name_is_found_wherever_it_stands(before: str, after: str) -> None:
    assert names_a_model(f"{before}\n\nI am ChatGPT.\n\n{after}")


@pytest.mark.parametrize(
    ("facts", "cut"),
    [
        ({}, False),
        ({"truncated": True}, True),
        ({"truncated": False}, False),
        ({"truncated": "no idea"}, False),
        ({"finish_reason": "length"}, True),
        ({"finish_reason": "stop"}, False),
        ({"finish_reason": None}, False),
        ({"finish_reason": 3}, False),
        ({"stop_reason": "max_tokens"}, True),
        ({"finishReason": "MAX_TOKENS"}, True),
        ({"tokens": 256, "max_new_tokens": 256}, False),
    ],
)
def test_a_cut_end_is_known_by_what_the_server_said(
    facts: dict[str, object], *, cut: bool
) -> None:
    assert is_truncated(facts) is cut


def test_no_real_answer_of_models_that_do_not_name_themselves_is_found() -> None:
    texts = [
        record["text"]
        for record in real_records("selfinstruct_252_k9.jsonl.gz")
        if record["t"] == "response" and record["text"]
    ]
    assert len(texts) == 2_217
    assert [text for text in texts if names_a_model(text)] == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I am GPT-" + "1" * 300_000 + " Abc", True),
        ("I am GPT" + "-1.1" * 100_000 + " Abc", True),
        ("I am GPT" + " Pro" * 100_000 + " Abc", False),
        ("I am a " * 100_000, False),
        ("I was " * 100_000, False),
        ("I am an " + "word, " * 100_000 + "by a by the", False),
        (" " * 1_000_000, False),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_text_made_to_be_slow_ends_the_search_all_the_same(
    text: str, *, found: bool
) -> None:
    assert names_a_model(text) is found


PIECES = st.sampled_from(
    ["I am ", "I'm", "As ", "as an AI ", "my name is ", "made by ", " ", "*", ", ", "X"]
) | st.from_regex(f"(?:{MODELS}|{MAKERS})", fullmatch=True)


@given(pieces=st.lists(PIECES, max_size=8))
def test_the_quick_look_passes_over_nothing(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = IDENTITY.search(BETWEEN_WORDS.sub(" ", text))
    assert found is None or ANY_NAME.search(text)
    assert names_a_model(text) is (found is not None)
