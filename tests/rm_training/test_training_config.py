"""The config refuses nonsense and survives JSON; the schedule is its arithmetic."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rm_training.config import ConfigError, TrainingConfig
from rm_training.schedule import learning_rate, prompts_of_step, steps_in_total


def test_a_config_survives_json() -> None:
    config = TrainingConfig(loss="pair_mean", ties="soft", max_steps=7, lr=1e-4)
    assert TrainingConfig.from_json(config.to_json()) == config


def test_absent_fields_take_their_defaults() -> None:
    assert TrainingConfig.from_json('{"seed": 3}') == TrainingConfig(seed=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loss", "hinge"),
        ("ties", ""),
        ("centering", -0.1),
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", "1e-5"),
        ("warmup", 1.0),
        ("final_lr", 1.5),
        ("clip", 0),
        ("epochs", 0),
        ("epochs", True),
        ("epochs", 1.5),
        ("max_steps", 0),
        ("prompts_per_step", 0),
        ("prompts_per_pass", -1),
        ("max_length", 1),
        ("max_prompt_tokens", 1),
        ("eval_every", 0),
        ("checkpoint_every", -1),
        ("seed", -1),
        ("dtype", "float16"),
        ("device", ""),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{field} must be .*, got "):
        TrainingConfig.from_dict({field: value})


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="no setting named 'learning_rate'"):
        TrainingConfig.from_dict({"learning_rate": 1e-5})


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_settings_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="JSON"):
        TrainingConfig.from_json(text)


def test_the_prompt_must_leave_room_for_a_response() -> None:
    with pytest.raises(ConfigError, match="leave room"):
        TrainingConfig(max_length=100, max_prompt_tokens=100)


def test_steps_count_the_short_last_batch_and_stop_at_max_steps() -> None:
    config = TrainingConfig(prompts_per_step=16, epochs=2)
    assert steps_in_total(33, config) == 6
    assert steps_in_total(32, config) == 4
    capped = TrainingConfig(prompts_per_step=16, epochs=2, max_steps=5)
    assert steps_in_total(33, capped) == 5
    assert steps_in_total(3, capped) == 2


def test_the_learning_rate_warms_up_and_ends_at_a_tenth() -> None:
    config = TrainingConfig(lr=1.0, warmup=0.2, final_lr=0.1)
    rates = [learning_rate(step, total=10, config=config) for step in range(10)]
    assert rates[:2] == [0.5, 1.0]
    # Half way down the cosine (step 5 of 2 … 9 is 4 / 8): 0.1 + 0.9 / 2
    assert rates[5] == pytest.approx(0.55)
    assert rates[9] == pytest.approx(0.1)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_a_run_of_one_step_takes_the_peak_rate() -> None:
    assert learning_rate(0, total=1, config=TrainingConfig(lr=0.5)) == 0.5


def test_without_warm_up_the_last_step_ends_at_the_floor() -> None:
    config = TrainingConfig(lr=1.0, warmup=0.0, final_lr=0.0)
    assert learning_rate(3, total=4, config=config) == pytest.approx(0.0)


@given(prompts=st.integers(1, 40), per_step=st.integers(1, 12), seed=st.integers(0, 99))
def test_an_epoch_visits_each_prompt_once(
    prompts: int, per_step: int, seed: int
) -> None:
    config = TrainingConfig(prompts_per_step=per_step, epochs=2, seed=seed)
    steps = steps_in_total(prompts, config)
    visited = [
        prompt
        for step in range(steps)
        for prompt in prompts_of_step(step, prompts=prompts, config=config)
    ]
    assert sorted(visited[:prompts]) == list(range(prompts))
    assert sorted(visited[prompts:]) == list(range(prompts))


def test_the_order_is_fixed_by_the_seed_and_changes_with_epoch_and_seed() -> None:
    config = TrainingConfig(prompts_per_step=50, seed=1)
    first = prompts_of_step(0, prompts=50, config=config)
    assert first == prompts_of_step(0, prompts=50, config=config)
    assert first != prompts_of_step(1, prompts=50, config=config)
    other = TrainingConfig(prompts_per_step=50, seed=2)
    assert first != prompts_of_step(0, prompts=50, config=other)
