"""Where a reward is read, and what it must not depend on."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from rm_training.batch import EncodedPrompt, Rows, pad_rows
from rm_training.config import ConfigError, TrainingConfig
from rm_training.loading import MODEL_TYPES, load_base
from rm_training.network import (
    ModelError,
    choose_device,
    head_of,
    limits_of,
    rewards_of_prompts,
    rewards_of_rows,
    weights_sha256,
)
from tests.tiny_model import POSITIONS, make_tokenizer

CPU = torch.device("cpu")
ROWS = [[5, 9, 200, 31, 1], [7, 1], [40, 41, 42, 1, 44, 45, 46, 1]]  # 1 is EOS


@pytest.fixture(scope="module")
def model(tiny_sft: Path) -> PreTrainedModel:
    return load_base(str(tiny_sft), seed=3, device=CPU)[0]


@torch.no_grad()
def rewards(model: PreTrainedModel, sequences: list[list[int]]) -> Tensor:
    pad = model.config.pad_token_id
    return rewards_of_rows(model, pad_rows(sequences, pad_token_id=pad))


def test_the_head_is_drawn_from_the_seed_with_variance_one_over_d_plus_one(
    tiny_sft: Path,
) -> None:
    heads = [
        head_of(load_base(str(tiny_sft), seed=seed, device=CPU)[0]).weight.detach()
        for seed in (0, 0, 1)
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    drawn = torch.cat(
        [
            head_of(load_base(str(tiny_sft), seed=s, device=CPU)[0]).weight.detach()
            for s in range(20)
        ]
    )
    # 640 draws: the standard deviation is known to 1 / sqrt(2 · 640) = 2.8 %.
    assert drawn.std().item() == pytest.approx(1 / math.sqrt(33), rel=0.1)


def test_the_trunk_is_the_base_models(tiny_sft: Path, model: PreTrainedModel) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_sft)
    theirs, ours = base.model.state_dict(), model.model.state_dict()
    assert theirs.keys() == ours.keys()
    for name, weight in theirs.items():
        assert torch.equal(weight, ours[name][: len(weight)]), name
    assert not any("lm_head" in name for name in model.state_dict())


def test_a_pad_token_distinct_from_eos_is_added(tiny_sft: Path) -> None:
    model, tokenizer = load_base(str(tiny_sft), seed=0, device=CPU)
    before = make_tokenizer()
    assert before.pad_token_id == before.eos_token_id
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer.pad_token_id == model.config.pad_token_id == len(before)
    embeddings: Any = model.get_input_embeddings()
    assert embeddings.weight.shape == (len(before) + 1, 32)


def test_the_reward_is_read_at_the_last_token_of_each_row(
    model: PreTrainedModel,
) -> None:
    """A body whose hidden state is the position, and a head of ones."""

    class Positions(torch.nn.Module):
        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            where = torch.arange(input_ids.shape[1]).float()
            hidden = where[None, :, None].expand(*input_ids.shape, 32)

            class Output:
                last_hidden_state = hidden

            return Output()

    probe = load_probe(model)
    probe.model = Positions()
    with torch.no_grad():
        head_of(probe).weight.fill_(1 / 32)
    assert rewards(probe, ROWS).tolist() == [4.0, 1.0, 7.0]


def load_probe(model: PreTrainedModel) -> PreTrainedModel:
    """A second model of the same shape, to take apart."""
    copy: Any = type(model)
    probe: PreTrainedModel = copy(model.config).eval()
    return probe


def test_a_reward_does_not_depend_on_padding_batch_or_order(
    model: PreTrainedModel,
) -> None:
    together = rewards(model, ROWS)
    alone = torch.cat([rewards(model, [row]) for row in ROWS])
    assert together.tolist() == pytest.approx(alone.tolist(), abs=1e-5)
    backwards = rewards(model, ROWS[::-1]).flip(0)
    assert together.tolist() == pytest.approx(backwards.tolist(), abs=1e-5)
    wider = rewards(model, [*ROWS, list(range(60))])[:3]
    assert together.tolist() == pytest.approx(wider.tolist(), abs=1e-5)


def test_other_tokens_in_one_response_leave_the_others_bit_equal(
    model: PreTrainedModel,
) -> None:
    changed = [ROWS[0], ROWS[1], [40, 41, 99, 98, 97, 45, 46, 1]]
    before, after = rewards(model, ROWS), rewards(model, changed)
    assert torch.equal(before[:2], after[:2])
    assert before[2] != after[2]


def test_what_stands_in_padding_positions_is_never_read(
    model: PreTrainedModel,
) -> None:
    rows = pad_rows(ROWS, pad_token_id=model.config.pad_token_id)
    other = Rows(
        input_ids=rows.input_ids.where(rows.attention_mask.bool(), 17),
        attention_mask=rows.attention_mask,
        lengths=rows.lengths,
    )
    with torch.no_grad():
        assert torch.equal(rewards_of_rows(model, rows), rewards_of_rows(model, other))


def test_an_eos_more_changes_the_reward(model: PreTrainedModel) -> None:
    once, twice = rewards(model, [[5, 9, 1], [5, 9, 1, 1]]).tolist()
    assert abs(once - twice) > 1e-3


def test_an_eos_inside_the_prompt_does_not_end_it(model: PreTrainedModel) -> None:
    chosen, rejected = rewards(model, [[5, 1, 9, 20, 1], [5, 1, 9, 30, 1]]).tolist()
    assert abs(chosen - rejected) > 1e-3


def test_identical_responses_get_identical_rewards(model: PreTrainedModel) -> None:
    prompt = EncodedPrompt(prompt=(5, 6), responses=((7, 1), (8, 9, 1), (7, 1)))
    with torch.no_grad():
        table = rewards_of_prompts(model, [prompt])
    assert table.shape == (1, 3)
    assert table[0, 0] == table[0, 2]
    assert table[0, 0] != table[0, 1]


def test_prompts_of_different_k_fill_their_own_rows(model: PreTrainedModel) -> None:
    prompts = [
        EncodedPrompt(prompt=(5, 6), responses=((7, 1), (8, 9, 1))),
        EncodedPrompt(prompt=(9,), responses=((1,), (2, 1), (3, 1))),
    ]
    with torch.no_grad():
        table = rewards_of_prompts(model, prompts)
    flat = rewards(model, [list(row) for prompt in prompts for row in prompt.rows()])
    assert table.shape == (2, 3)
    assert table[0, 2] == 0.0
    assert [*table[0, :2], *table[1]] == pytest.approx(flat.tolist(), abs=1e-6)


def test_head_and_rewards_stay_float32_under_bfloat16(model: PreTrainedModel) -> None:
    rows = pad_rows(ROWS, pad_token_id=model.config.pad_token_id)
    with torch.no_grad():
        exact = rewards_of_rows(model, rows)
        half = rewards_of_rows(model, rows, bfloat16=True)
    assert half.dtype == torch.float32
    assert half.tolist() != half.bfloat16().float().tolist()
    assert half.tolist() != exact.tolist()
    assert half.tolist() == pytest.approx(exact.tolist(), abs=0.05)


@pytest.mark.parametrize("model_type", sorted(MODEL_TYPES))
def test_every_supported_architecture_scores_as_transformers_does(
    model_type: str, tmp_path: Path
) -> None:
    tiny: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 1,
    }
    if model_type == "gpt2":
        tiny |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    if model_type == "opt":
        tiny |= {"ffn_dim": 48, "word_embed_proj_dim": 32}
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **tiny)
    config.num_labels = 1
    auto: Any = AutoModelForSequenceClassification  # it carries no types
    model = auto.from_config(config).eval()
    rows = pad_rows([[5, 9, 20, 31, 1], [7, 1], [40, 41, 1, 44, 1]], pad_token_id=0)
    with torch.no_grad():
        theirs = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask)
        ours = rewards_of_rows(model, rows)
    assert ours.tolist() == pytest.approx(theirs.logits[:, 0].tolist(), abs=1e-6)
    assert len(set(ours.tolist())) == 3


def test_a_head_of_two_outputs_is_refused(tiny_sft: Path) -> None:
    two = AutoModelForSequenceClassification.from_pretrained(tiny_sft, num_labels=2)
    with pytest.raises(ModelError, match="not one bias-free output"):
        head_of(two)


def test_lengths_come_from_the_config_or_the_models_positions(
    model: PreTrainedModel,
) -> None:
    limits = limits_of(model, TrainingConfig())
    assert (limits.max_length, limits.max_prompt_tokens) == (POSITIONS, POSITIONS // 2)
    asked = limits_of(model, TrainingConfig(max_length=100, max_prompt_tokens=90))
    assert (asked.max_length, asked.max_prompt_tokens) == (100, 90)
    with pytest.raises(ConfigError, match="the base model has 1024 positions"):
        limits_of(model, TrainingConfig(max_length=1025))
    with pytest.raises(ConfigError, match="leaves no room"):
        limits_of(model, TrainingConfig(max_prompt_tokens=1024))


def test_an_unknown_or_absent_device_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(ConfigError, match="'abacus' is unknown"):
        choose_device("abacus")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(ConfigError, match="no GPU"):
        choose_device("cuda:1")


def test_the_hash_of_the_weights_is_of_the_trunk_alone(tiny_sft: Path) -> None:
    one, other = (load_base(str(tiny_sft), seed=s, device=CPU)[0] for s in (0, 1))
    assert weights_sha256(one) == weights_sha256(other)
    with torch.no_grad():
        next(iter(other.model.parameters()))[0, 0] += 1e-6
    assert weights_sha256(one) != weights_sha256(other)
