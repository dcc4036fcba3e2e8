"""What the scoring server takes, and what R = r - beta * KL is, without a server."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rm_training.serving.kl import BadLogprobs, penalised
from rm_training.serving.requests import (
    Limits,
    Refusal,
    read_remote,
    read_reward,
    read_score,
)

LIMITS = Limits(responses=4)


def raw(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


# --- The reward of RLHF -----------------------------------------------------------


def test_the_penalty_is_summed_over_tokens_and_the_reward_stands_at_the_last() -> None:
    # gaps -1 + 1.5 = 0.5, -0.5 + 0.25 = -0.25, -2 + 4 = 2; their sum is 2.25
    found = penalised(
        3.0, policy=[-1.0, -0.5, -2.0], reference=[-1.5, -0.25, -4.0], beta=0.5
    )
    assert found.kl == 2.25
    assert found.per_token == (-0.25, 0.125, 3.0 - 1.0)
    assert found.reward == 3.0 - 0.5 * 2.25


def test_a_policy_that_has_not_moved_gets_the_plain_reward() -> None:
    found = penalised(1.5, policy=[-1.0, -2.0], reference=[-1.0, -2.0], beta=0.02)
    assert (found.reward, found.kl, found.per_token) == (1.5, 0.0, (0.0, 1.5))


logprobs = st.floats(-50, 0)
pairs = st.lists(st.tuples(logprobs, logprobs), min_size=1, max_size=40)


@given(r=st.floats(-100, 100), beta=st.floats(0, 10), pairs=pairs)
def test_the_rewards_of_tokens_sum_to_the_sequence_reward(
    r: float, beta: float, pairs: list[tuple[float, float]]
) -> None:
    policy, reference = zip(*pairs, strict=True)
    found = penalised(r, policy=policy, reference=reference, beta=beta)
    assert math.fsum(found.per_token) == pytest.approx(found.reward, abs=1e-8)
    assert found.reward == pytest.approx(r - beta * found.kl, abs=1e-8)


@pytest.mark.parametrize(
    ("policy", "reference", "beta", "said"),
    [
        ([-1.0], [-1.0, -2.0], 0.1, "1 log-probabilities of the policy and 2 of"),
        ([], [], 0.1, "at least one token"),
        ([-1.0], [-1.0], -0.1, "beta is -0.1"),
        ([-1.0], [-1.0], math.inf, "beta is inf"),
        ([-1.0, 0.5], [-1.0, -1.0], 0.1, "log-probability 2 of the policy is 0.5"),
        ([-1.0], [math.nan], 0.1, "log-probability 1 of the reference is nan"),
        ([-1e308], [0.0], 1e308, "too large"),
    ],
)
def test_log_probabilities_that_mean_nothing_are_refused(
    policy: list[float], reference: list[float], beta: float, said: str
) -> None:
    with pytest.raises(BadLogprobs, match=said):
        penalised(0.0, policy=policy, reference=reference, beta=beta)


# --- Bodies -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_json"),
        (b"\xff", 400, "bad_utf8"),
        (b'{"prompt": "a", "responses": ["b"], "x": NaN}', 400, "nan"),
        (b'{"prompt": "a", "prompt": "b", "responses": []}', 400, "duplicate_key"),
        (rb'{"prompt": "\ud800", "responses": []}', 400, "lone_surrogate"),
        (b'{"prompt": "a\\u0000", "responses": []}', 400, "nul"),
        (b"[" * 50 + b"]" * 50, 400, "too_deep"),
        (b"1", 422, "bad_request"),
        (b'{"prompt": "a"}', 422, "bad_request"),
        (raw(prompt="a", responses="b"), 422, "bad_request"),
        (raw(prompt="a", responses=["b", 1]), 422, "bad_request"),
        (raw(prompt=[], responses=[]), 422, "bad_request"),
        (raw(prompt="a", responses=["b"] * 5), 413, "too_many_responses"),
    ],
)
def test_what_is_no_request_is_refused_with_a_word_for_programs(
    body: bytes, status: int, code: str
) -> None:
    with pytest.raises(Refusal) as caught:
        read_score(body, LIMITS)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_of_a_list_the_bad_object_is_named() -> None:
    body = json.dumps([{"prompt": "a", "responses": []}, {"prompt": "a"}]).encode()
    with pytest.raises(Refusal, match="object 2: expected an object with"):
        read_score(body, LIMITS)


def test_responses_of_all_objects_count_together() -> None:
    one = {"prompt": "a", "responses": ["b"] * 3}
    with pytest.raises(Refusal, match="6 responses in one request"):
        read_score(json.dumps([one, one]).encode(), LIMITS)
    asked = read_score(json.dumps([one]).encode(), LIMITS)
    assert (asked.is_list, len(asked.items)) == (True, 1)


def test_a_query_is_taken_apart_where_its_prompt_ends() -> None:
    body = raw(query=["P R", "P R", "other"], prompts=["P ", "", "P "], labels=[1])
    assert [(item.text, item.prompt) for item in read_remote(body, LIMITS)] == [
        ("P R", "P "),
        ("P R", ""),
        ("other", ""),
    ]
    (alone,) = read_remote(raw(query=["text"]), LIMITS)
    assert (alone.text, alone.prompt) == ("text", "")


def test_queries_and_prompts_come_in_equal_numbers() -> None:
    with pytest.raises(Refusal, match='"query" has 1 texts and "prompts" 2'):
        read_remote(raw(query=["a"], prompts=["a", "b"]), LIMITS)


anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=6,
)
KEYS = (
    *("prompt", "responses", "response", "query", "prompts", "labels"),
    *("policy_logprobs", "reference_logprobs", "beta", "role", "content"),
)
bodies = anything | st.dictionaries(st.sampled_from(KEYS), anything, max_size=6)


@settings(max_examples=60)
@given(body=bodies.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_whatever_is_sent_is_read_or_refused(body: bytes) -> None:
    assert _status(lambda: read_score(body, LIMITS)) in (200, 400, 413, 422)
    assert _status(lambda: read_reward(body)) in (200, 400, 422)
    assert _status(lambda: read_remote(body, LIMITS)) in (200, 400, 413, 422)


def _status(read: Callable[[], object]) -> int:
    try:
        read()
    except Refusal as refusal:
        return refusal.status
    return 200
