"""Sampling from a real, tiny causal LM."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from annotation import nucleus, sft
from annotation.sampling import (
    Ask,
    Draw,
    ModelUnusableError,
    PromptRefusedError,
    PromptToAnswer,
    SamplingSettings,
)
from tests.tiny_model import EOS, POSITIONS, make_tiny_sft

SETTINGS = SamplingSettings(k_min=4, k_max=6, max_new_tokens=12, seed=5)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sft(tmp_path_factory.mktemp("models") / "tiny-sft")


@pytest.fixture(scope="module")
def model(folder: Path) -> sft.SftModel:
    return sft.load(str(folder))


def prompt(name: str, content: str = "Name the capital of France.") -> PromptToAnswer:
    return PromptToAnswer(name, [{"role": "user", "content": content}])


# --- The draw ---------------------------------------------------------------------


def draws(probabilities: list[float], uniforms: list[float], top_p: float) -> list[int]:
    logits = torch.tensor([probabilities] * len(uniforms)).log()
    chosen = nucleus.nucleus_choice(logits, torch.tensor(uniforms), top_p=top_p)
    return list(chosen.tolist())


def test_a_uniform_number_picks_by_the_distribution_function() -> None:
    # .5, .3, .2 in order of probability: the steps are at .5 and .8.
    assert draws([0.3, 0.5, 0.2], [0.0, 0.49, 0.51, 0.79, 0.81, 0.999], 1.0) == [
        1, 1, 0, 0, 2, 2,
    ]  # fmt: skip


def test_the_nucleus_keeps_its_proportions() -> None:
    # top-p .8 keeps .5 and .3, so the step is at .5 / .8 = .625.
    assert draws([0.5, 0.3, 0.2], [0.62, 0.63, 0.999], 0.8) == [0, 1, 1]


def test_the_token_that_reaches_top_p_is_in_the_nucleus() -> None:
    assert draws([0.5, 0.3, 0.2], [0.999], 0.81) == [2]


def test_a_tiny_nucleus_is_the_most_likely_token() -> None:
    assert draws([0.2, 0.3, 0.5], [0.0, 0.5, 0.999], 1e-9) == [2, 2, 2]


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.01, 1),
)
def test_every_draw_lies_in_the_nucleus(
    weights: list[float], uniform: float, top_p: float
) -> None:
    total = sum(weights)
    shares = [weight / total for weight in weights]
    [chosen] = draws(shares, [uniform], top_p)
    more_likely = sum(share for share in shares if share > shares[chosen] + 1e-6)
    assert more_likely < top_p + 1e-6


def test_frequencies_are_the_probabilities() -> None:
    uniforms = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    drawn = draws([0.6, 0.3, 0.1], uniforms.tolist(), 1.0)
    # Standard deviation of the share of .6 in 20,000 draws: .0035.
    assert drawn.count(0) / 20_000 == pytest.approx(0.6, abs=0.0175)
    assert drawn.count(2) / 20_000 == pytest.approx(0.1, abs=0.0175)


# --- Sampling ---------------------------------------------------------------------


def test_a_prompt_gets_different_responses_with_their_provenance(
    model: sft.SftModel, folder: Path
) -> None:
    [outcome] = sft.sample(model, [prompt("p")], SETTINGS)
    texts = [response.text for response in outcome.responses]
    assert 4 <= len(texts) == len(set(texts)) <= 6
    params = outcome.responses[0].params
    assert params["model"] == "tiny-sft"
    assert params["revision"] == sft.fingerprint(folder)
    assert params["template"] == "chat"
    assert params["attempt"] == 1


def test_the_same_seed_gives_the_same_responses_and_another_one_others(
    model: sft.SftModel,
) -> None:
    again = sft.sample(model, [prompt("p")], SETTINGS)
    assert sft.sample(model, [prompt("p")], SETTINGS) == again
    other = SamplingSettings(k_min=4, k_max=6, max_new_tokens=12, seed=6)
    [mine], [theirs] = again, sft.sample(model, [prompt("p")], other)
    assert {r.text for r in mine.responses}.isdisjoint(r.text for r in theirs.responses)


def test_the_prompts_beside_it_change_nothing(model: sft.SftModel) -> None:
    prompts = [
        prompt("short", "Sea?"),
        prompt("long", "Explain gravity to a child. " * 5),
        prompt("middle", "How do I boil an egg?"),
    ]
    alone = sft.sample(model, prompts, SETTINGS, prompts_at_once=1)
    together = sft.sample(model, prompts, SETTINGS, prompts_at_once=3)
    assert together == alone


def test_the_global_random_state_is_left_alone(model: sft.SftModel) -> None:
    before = torch.get_rng_state()
    sft.sample(model, [prompt("p")], SETTINGS)
    assert torch.equal(torch.get_rng_state(), before)


def test_sampling_agrees_with_the_models_own_probabilities(
    model: sft.SftModel,
) -> None:
    """First tokens of 4,000 rows against the softmax of a plain forward pass."""
    settings = SamplingSettings(max_new_tokens=1, top_p=1.0, temperature=2.0)
    rows = 4_000
    ask = Ask(prompt("p"), rows, seed=1)
    tokens = sft.encode(model, ask.prompt.messages, settings)
    with torch.inference_mode():
        logits = model.network(torch.tensor([tokens])).logits[0, -1]
    expected = (logits.double() / 2.0).softmax(-1)
    best = int(expected.argmax())
    [drawn] = sft.draw_texts(model, [ask], settings)
    assert isinstance(drawn, list)
    text = model.tokenizer.decode([best])
    share = sum(draw.text == text for draw in drawn) / rows
    p = float(expected[best])
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / rows) ** 0.5)


def test_a_text_that_ran_into_the_limit_is_marked(model: sft.SftModel) -> None:
    [outcome] = sft.sample(model, [prompt("p")], SETTINGS)
    for response in outcome.responses:
        assert response.params["truncated"] == (response.params["tokens"] == 12)


def test_a_text_ends_before_the_token_that_ends_it(model: sft.SftModel) -> None:
    letters = model.tokenizer("ab")["input_ids"]
    end = model.tokenizer.convert_tokens_to_ids(EOS)
    assert sft._read(model, [*letters, end, end]) == Draw(
        "ab", len(letters), truncated=False
    )
    assert sft._read(model, [end, *letters]) == Draw("", 0, truncated=False)
    assert sft._read(model, letters) == Draw("ab", len(letters), truncated=True)


def test_a_low_temperature_fails_the_prompt_in_words(model: sft.SftModel) -> None:
    cold = SamplingSettings(temperature=1e-4, max_new_tokens=4)
    [outcome] = sft.sample(model, [prompt("p")], cold)
    assert outcome.responses == ()
    assert outcome.failure.startswith("only 1 different texts after 3 re-samplings")


def test_the_work_can_be_stopped_between_two_tokens(model: sft.SftModel) -> None:
    steps = 0

    def check() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        model.sample([prompt("p")], SETTINGS, check=check)
    assert steps == 3


# --- Prompts ----------------------------------------------------------------------


def test_the_chat_template_asks_for_the_assistants_turn(model: sft.SftModel) -> None:
    tokens = sft.encode(model, prompt("p", "Sea?").messages, SETTINGS)
    assert model.tokenizer.decode(tokens) == (
        "<|im_start|>user\nSea?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_without_a_chat_template_contents_stand_apart_by_a_blank_line(
    tmp_path: Path,
) -> None:
    plain = sft.load(str(make_tiny_sft(tmp_path / "plain", chat_template=False)))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Sea?"},
    ]
    tokens = sft.encode(plain, messages, SETTINGS)
    assert plain.tokenizer.decode(tokens) == "Be brief.\n\nSea?"
    [outcome] = sft.sample(plain, [PromptToAnswer("p", messages)], SETTINGS)
    assert outcome.responses[0].params["template"] == "plain"


def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(
    model: sft.SftModel,
) -> None:
    [fine, refused] = sft.sample(
        model, [prompt("p"), prompt("q", "sea " * POSITIONS)], SETTINGS
    )
    assert fine.responses
    assert "12 are to be added: the model takes 1024" in refused.failure


def test_what_the_template_refuses_is_the_prompts_failure(model: sft.SftModel) -> None:
    original = model.tokenizer.chat_template
    model.tokenizer.chat_template = "{{ raise_exception('users only') }}"
    try:
        with pytest.raises(PromptRefusedError, match="users only"):
            sft.encode(model, prompt("p").messages, SETTINGS)
    finally:
        model.tokenizer.chat_template = original


# --- Loading ----------------------------------------------------------------------


def broken(folder: Path, tmp_path: Path, **files: str | None) -> Path:
    copy = tmp_path / "broken"
    shutil.copytree(folder, copy)
    for name, text in files.items():
        path = copy / name.replace("__", ".")
        path.unlink() if text is None else path.write_text(text)
    return copy


@pytest.mark.parametrize(
    "files",
    [
        {"config__json": "{"},
        {"config__json": '{"model_type": "nobody-knows"}'},
        {"model__safetensors": None},
        {"model__safetensors": "no weights"},
        {"tokenizer__json": "{}"},
    ],
)
def test_a_broken_directory_costs_one_clear_line(
    folder: Path, tmp_path: Path, files: dict[str, Any]
) -> None:
    directory = broken(folder, tmp_path, **files)
    with pytest.raises(ModelUnusableError, match="cannot be loaded") as refused:
        sft.load(str(directory))
    assert str(directory) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_pickled_weights_are_not_read(folder: Path, tmp_path: Path) -> None:
    directory = broken(folder, tmp_path, model__safetensors=None)
    torch.save({}, directory / "pytorch_model.bin")
    with pytest.raises(ModelUnusableError, match="cannot be loaded"):
        sft.load(str(directory))


def test_a_name_that_is_no_place_and_no_hub_id_is_refused_at_once() -> None:
    for name in ("/nowhere/at/all", "../up", "a b", "x/y/z"):
        with pytest.raises(ModelUnusableError, match="neither"):
            sft.load(name)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    config = '{"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}}'
    directory = broken(folder, tmp_path, config__json=config)
    (directory / "code.py").write_text(f"open({str(sentinel)!r}, 'w')\n")
    with pytest.raises(ModelUnusableError):
        sft.load(str(directory))
    assert not sentinel.exists()


def test_settings_that_a_model_brings_along_do_not_bend_the_distribution(
    folder: Path, tmp_path: Path, model: sft.SftModel
) -> None:
    brought = (
        '{"eos_token_id": 1, "pad_token_id": 1, "repetition_penalty": 9.0,'
        ' "do_sample": true, "top_k": 1, "temperature": 0.01, "min_new_tokens": 3}'
    )
    directory = broken(folder, tmp_path, generation_config__json=brought)
    [bent] = sft.sample(sft.load(str(directory)), [prompt("p")], SETTINGS)
    [straight] = sft.sample(model, [prompt("p")], SETTINGS)
    assert [r.text for r in bent.responses] == [r.text for r in straight.responses]


def test_the_fingerprint_is_that_of_the_weights(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert sft.fingerprint(copy) == sft.fingerprint(folder)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert sft.fingerprint(copy) != sft.fingerprint(folder)
