"""However the responses of a prompt are encoded together, their rewards are the same.

Oracles: K separate forward passes, one response each; what a hook counts; and for the
known ways to get it wrong without an error, the wrong number itself.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    DynamicCache,
    PreTrainedModel,
)

from rm_training import network, passes
from rm_training.architectures import SHARES_PROMPT, UNGATED, modes_of, trunk_of
from rm_training.batch import EncodedPrompt, pad_rows
from rm_training.layouts import Lengths, Mode, Row, laid_out
from rm_training.loading import MODEL_TYPES
from rm_training.network import (
    head_of,
    positions_of_prompts,
    rewards_of_prompts,
    rewards_of_rows,
    scores_of_prompts,
)
from rm_training.passes import PromptForgotten, embed, last_states

EOS = 1
SHARED: tuple[Mode, ...] = ("cached", "packed")
EVERY: tuple[Mode, ...] = ("loop", *SHARED)


def some_tokens(n: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(3, 64, (n,), generator=generator).tolist())


def a_prompt(tokens: int, responses: Sequence[int], *, seed: int = 0) -> EncodedPrompt:
    """Random tokens; each response ends with EOS, and one of length 1 is only that."""
    return EncodedPrompt(
        prompt=some_tokens(tokens, seed),
        responses=tuple(
            (*some_tokens(n - 1, 100 * seed + k + 1), EOS)
            for k, n in enumerate(responses)
        ),
    )


BATCH = [
    a_prompt(9, [6, 3, 9], seed=1),
    a_prompt(7, [1, 4], seed=2),
    a_prompt(20, [12, 5, 5, 31], seed=3),
]


def make_model(
    model_type: str = "llama", attention: str = "sdpa", **changes: Any
) -> PreTrainedModel:
    """Two layers, with weights so large that attention is far from even."""
    fields: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "eos_token_id": EOS,
        "sliding_window": None,
    }
    if model_type == "gpt2":
        del fields["intermediate_size"]  # four times the width
        fields |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    if model_type == "opt":
        fields |= {"ffn_dim": 48, "word_embed_proj_dim": 32}
    if model_type in UNGATED:  # as many key heads as query heads
        del fields["num_key_value_heads"]
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **fields | changes)
    config.num_labels = 1
    auto: Any = AutoModelForSequenceClassification  # it carries no types
    model: PreTrainedModel = auto.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3 if weight.ndim > 1 else 1)
    return quiet(model)


def quiet(model: PreTrainedModel) -> PreTrainedModel:
    """Without dropout."""
    module: torch.nn.Module = model
    module.eval()
    return model


@pytest.fixture(scope="module")
def llama() -> PreTrainedModel:
    return make_model()


def separately(model: PreTrainedModel, prompts: Sequence[EncodedPrompt]) -> Tensor:
    """One forward pass a response, without padding, prompt by prompt (Σ K,)."""
    return torch.cat(
        [
            rewards_of_rows(model, pad_rows([row], pad_token_id=0))
            for prompt in prompts
            for row in prompt.rows()
        ]
    )


def encoded_as(
    mode: Mode, model: PreTrainedModel, prompts: Sequence[EncodedPrompt]
) -> Tensor:
    """All prompts in this one layout, whatever it costs (Σ K,)."""
    lengths = [Lengths(len(p.prompt), tuple(map(len, p.responses))) for p in prompts]
    layout = laid_out(mode, range(len(prompts)), lengths, trunk_of(model))
    rows, states = last_states(embed(model, prompts), [layout])
    where = {row: number for number, row in enumerate(rows)}
    order = [
        where[Row(b, k)] for b, p in enumerate(prompts) for k in range(len(p.responses))
    ]
    rewards: Tensor = head_of(model)(states).squeeze(-1)
    return rewards[order]


def loss_of(rewards: Tensor, prompts: Sequence[EncodedPrompt]) -> Tensor:
    """All pairs, the first response the best, mean over pairs and then prompts."""
    losses = []
    for own in torch.split(rewards, [len(one.responses) for one in prompts]):
        better, worse = torch.triu_indices(len(own), len(own), 1)
        gaps = own[better] - own[worse]
        losses.append(-torch.nn.functional.logsigmoid(gaps).mean())
    return torch.stack(losses).mean()


def gradients_of(loss: Tensor, model: PreTrainedModel) -> dict[str, Tensor]:
    torch.autograd.backward(loss)
    found = {
        name: weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }
    model.zero_grad()
    return found


def assert_same(model: PreTrainedModel, mode: Mode, tolerance: float) -> None:
    """Rewards, loss and all gradients, beside those of separate passes."""
    expected, got = separately(model, BATCH), encoded_as(mode, model, BATCH)
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=0)
    theirs, ours = loss_of(expected, BATCH), loss_of(got, BATCH)
    assert ours.item() == pytest.approx(theirs.item(), abs=tolerance)
    wanted, found = gradients_of(theirs, model), gradients_of(ours, model)
    assert wanted.keys() == found.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=tolerance, rtol=0)


# --- O7: shared = separate --------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("model_type", sorted(SHARES_PROMPT))
def test_rewards_loss_and_gradients_are_those_of_separate_passes(
    model_type: str, attention: str
) -> None:
    model = make_model(model_type, attention)
    assert modes_of(model) == set(EVERY)
    for mode in EVERY:
        assert_same(model, mode, tolerance=1e-5)


@pytest.mark.parametrize("mode", EVERY)
def test_in_double_precision_nothing_but_rounding_is_left(mode: Mode) -> None:
    """GPT-2: no norm and no rotary embedding that computes in float32 in between."""
    assert_same(make_model("gpt2").double(), mode, tolerance=1e-10)


def test_the_layout_that_is_chosen_gives_the_same_rewards(
    llama: PreTrainedModel,
) -> None:
    table = rewards_of_prompts(llama, BATCH)
    flat = [table[b, k] for b, p in enumerate(BATCH) for k in range(len(p.responses))]
    expected = separately(llama, BATCH)
    torch.testing.assert_close(torch.stack(flat), expected, atol=1e-5, rtol=0)
    assert table.shape == (3, 4)
    assert table[0, 3:].tolist() == [0.0]
    assert table[1, 2:].tolist() == [0.0, 0.0]


def test_the_same_batch_gives_the_same_bits_with_and_without_gradient(
    llama: PreTrainedModel,
) -> None:
    once, again = (rewards_of_prompts(llama, BATCH) for _ in range(2))
    with torch.no_grad():
        without = rewards_of_prompts(llama, BATCH)
    assert torch.equal(once, again)
    assert torch.equal(once, without)
    first, second = (gradients_of(one.sum(), llama) for one in (once, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_half_precision_stays_in_the_trunk(llama: PreTrainedModel) -> None:
    with torch.no_grad():
        exact = rewards_of_prompts(llama, BATCH)
        half = rewards_of_prompts(llama, BATCH, bfloat16=True)
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    assert not torch.equal(half, half.bfloat16().float())
    torch.testing.assert_close(half, exact, atol=0.2, rtol=0)


# --- O8, O9: what a reward does not depend on -------------------------------------


@pytest.mark.parametrize("mode", EVERY)
@torch.no_grad()
def test_other_tokens_in_one_response_leave_the_others_bit_equal(
    llama: PreTrainedModel, mode: Mode
) -> None:
    before = encoded_as(mode, llama, BATCH)
    changed = EncodedPrompt(
        prompt=BATCH[2].prompt,
        responses=(*BATCH[2].responses[:3], (*some_tokens(30, 77), EOS)),
    )
    after = encoded_as(mode, llama, [*BATCH[:2], changed])
    assert torch.equal(before[:-1], after[:-1])
    assert before[-1] != after[-1]


@torch.no_grad()
def test_a_reward_does_not_depend_on_its_batch_or_its_place(
    llama: PreTrainedModel,
) -> None:
    expected = torch.split(separately(llama, BATCH), [3, 2, 4])
    alone = [rewards_of_prompts(llama, [one])[0] for one in BATCH]
    backwards = rewards_of_prompts(
        llama,
        [
            EncodedPrompt(prompt=one.prompt, responses=one.responses[::-1])
            for one in BATCH[::-1]
        ],
    )
    for place, own in enumerate(expected):
        torch.testing.assert_close(alone[place], own, atol=1e-5, rtol=0)
        turned = backwards[2 - place, : len(own)].flip(0)
        torch.testing.assert_close(turned, own, atol=1e-5, rtol=0)


# --- O10: at the ends -------------------------------------------------------------


def test_a_response_that_is_there_twice_is_encoded_once(
    llama: PreTrainedModel,
) -> None:
    """Δ is exactly 0, the loss exactly ln 2, and both places have a gradient."""
    once = a_prompt(9, [6, 4])
    first, second = once.responses
    twice = EncodedPrompt(prompt=once.prompt, responses=(first, second, first))
    table = rewards_of_prompts(llama, [twice])
    assert table[0, 0] == table[0, 2]
    assert table[0, 0] != table[0, 1]
    gap = (table[0, 0] - table[0, 2]).double()
    assert -torch.nn.functional.logsigmoid(gap).item() == math.log(2)
    found = gradients_of(table.sum(), llama)
    singly = rewards_of_prompts(llama, [once])[0]
    wanted = gradients_of(2 * singly[0] + singly[1], llama)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=0)
    assert positions_of_prompts(llama, [twice]) == positions_of_prompts(llama, [once])


@pytest.mark.parametrize("mode", EVERY)
@torch.no_grad()
def test_eos_counts_wherever_it_stands(llama: PreTrainedModel, mode: Mode) -> None:
    """Once more at the end it changes a reward; in a prompt it ends nothing; a response
    may be nothing else."""
    prompt = (5, EOS, 9, 20)
    one = EncodedPrompt(prompt=prompt, responses=((7, EOS), (7, EOS, EOS), (EOS,)))
    got = encoded_as(mode, llama, [one])
    torch.testing.assert_close(got, separately(llama, [one]), atol=1e-5, rtol=0)
    assert min(abs(got[i] - got[j]) for i, j in ((0, 1), (1, 2), (0, 2))) > 1e-3


@torch.no_grad()
def test_a_prompt_without_tokens_and_a_single_response_are_encoded(
    llama: PreTrainedModel,
) -> None:
    empty = EncodedPrompt(prompt=(), responses=((7, EOS), (8, 9, EOS)))
    single = a_prompt(9, [5])
    table = rewards_of_prompts(llama, [empty, single])
    expected = separately(llama, [empty, single])
    got = torch.stack([table[0, 0], table[0, 1], table[1, 0]])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


# --- O21: what was encoded --------------------------------------------------------


class Counted:
    """Positions that go through a layer while it is open."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.positions = 0
        self._layer: Any = model.model.layers[0].mlp

    def __enter__(self) -> "Counted":
        self._hook = self._layer.register_forward_hook(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _count(self, _: Any, __: Any, states: Tensor) -> None:
        self.positions += states.shape[0] * states.shape[1]


@torch.no_grad()
def test_a_shared_prompt_and_each_response_are_encoded_exactly_once(
    llama: PreTrainedModel,
) -> None:
    prompts = [a_prompt(30, [8] * 4, seed=1), a_prompt(30, [8] * 4, seed=2)]
    with Counted(llama) as counted:
        rewards_of_prompts(llama, prompts)
    assert counted.positions == 2 * (30 + 4 * 8)
    reported = positions_of_prompts(llama, prompts)
    assert (reported.tokens, reported.padding) == (2 * (30 + 4 * 8), 0)


@given(
    shapes=st.lists(
        st.tuples(
            st.integers(1, 30), st.lists(st.integers(2, 30), min_size=1, max_size=4)
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=30)
@torch.no_grad()
def test_what_is_reported_is_what_a_hook_counts(
    llama: PreTrainedModel, shapes: list[tuple[int, list[int]]]
) -> None:
    prompts = [a_prompt(p, r, seed=n) for n, (p, r) in enumerate(shapes)]
    with Counted(llama) as counted:
        rewards_of_prompts(llama, prompts)
    reported = positions_of_prompts(llama, prompts)
    assert reported.tokens + reported.padding == counted.positions
    assert reported.tokens <= sum(prompt.tokens for prompt in prompts)


# --- Traps: silently wrong --------------------------------------------------------


@pytest.fixture
def checkpointing() -> PreTrainedModel:
    """A model whose layers recompute their activations; nothing else trains."""
    made = make_model()
    model: Any = made  # its method carries no types
    model.activation_checkpointing_enable({"use_reentrant": False})
    for layer in model.model.layers:
        layer.training = True
    return made


def test_under_gradient_checkpointing_the_prompt_is_packed_or_repeated(
    llama: PreTrainedModel, checkpointing: PreTrainedModel
) -> None:
    assert modes_of(checkpointing) == {"loop", "packed"}
    for mode in ("loop", "packed"):
        assert_same(checkpointing, mode, tolerance=1e-5)
    chosen = rewards_of_prompts(checkpointing, BATCH)
    expected = rewards_of_prompts(llama, BATCH)
    torch.testing.assert_close(chosen, expected, atol=1e-5, rtol=0)


def test_a_prompt_that_a_model_forgets_stops_the_run(
    checkpointing: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check the responses are scored as if they had no prompt."""
    with pytest.raises(PromptForgotten, match="under gradient checkpointing"):
        encoded_as("cached", checkpointing, BATCH)
    empty = DynamicCache(config=checkpointing.config)
    monkeypatch.setattr(passes, "_check_memory", lambda *_: None)
    monkeypatch.setattr(passes, "_memory_of", lambda *_: empty)
    one = [a_prompt(9, [6, 6])]
    wrong = encoded_as("cached", checkpointing, one)
    assert (wrong - separately(checkpointing, one)).abs().max() > 0.01


def test_without_the_mask_all_but_the_first_response_lose_their_prompt(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [a_prompt(9, [6, 6])]
    expected = separately(llama, one)
    monkeypatch.setattr(passes, "_mask", lambda *_: None)
    wrong = (encoded_as("packed", llama, one) - expected).abs()
    assert wrong[0] < 1e-5
    assert wrong[1] > 0.01


def test_a_group_that_continues_from_a_used_cache_is_stopped(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forward pass adds to the cache that it is given."""
    monkeypatch.setattr(passes, "_memory_of", lambda memory, *_: memory)
    with pytest.raises(PromptForgotten, match=r"kept .* of \[64\] tokens"):
        encoded_as("cached", llama, [a_prompt(9, [54, 1])])


# --- Models that keep the loop ----------------------------------------------------


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("mistral", {"sliding_window": 8}),
        ("phi3", {"sliding_window": 8}),
        ("gemma2", {"sliding_window": 8}),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
        ),
    ],
)
def test_what_does_not_see_the_whole_prompt_alike_is_looped(
    model_type: str, changes: dict[str, Any]
) -> None:
    model = make_model(model_type, "eager", **changes)
    assert modes_of(model) == {"loop"}
    assert_same(model, "loop", tolerance=1e-5)


def test_packed_responses_of_a_model_with_a_window_would_be_wrong() -> None:
    model = make_model("mistral", "eager", sliding_window=8)
    wrong = encoded_as("packed", model, BATCH) - separately(model, BATCH)
    assert wrong.abs().max() > 0.1


def test_attention_that_is_not_known_is_looped(llama: PreTrainedModel) -> None:
    config = make_model().config
    config._attn_implementation = "flash_attention_2"
    other: Any = type("Model", (), {"config": config})()
    assert modes_of(other) == {"loop"}


def test_every_model_that_can_be_loaded_has_known_costs() -> None:
    assert SHARES_PROMPT <= MODEL_TYPES
    for model_type in sorted(MODEL_TYPES):
        window = {"sliding_window": 8} if model_type == "gemma2" else {}
        model = make_model(model_type, "eager", **window)
        matrices = sum(
            weight.numel()
            for name, weight in model.base_model.named_parameters()
            if weight.ndim == 2 and "emb" not in name and name[:2] not in ("wt", "wp")
        )
        trunk = trunk_of(model)
        assert trunk.layers * trunk.weights == matrices, model_type


# --- Scores without a gradient ----------------------------------------------------


@pytest.mark.parametrize("bound", [1, 60, 16_384])
def test_scores_are_the_rewards_whatever_fits_into_a_pass(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    monkeypatch.setattr(network, "POSITIONS_AT_ONCE", bound)
    scores = scores_of_prompts(llama, BATCH)
    assert [len(of_prompt) for of_prompt in scores] == [3, 2, 4]
    flat = [score for of_prompt in scores for score in of_prompt]
    assert flat == pytest.approx(separately(llama, BATCH).tolist(), abs=1e-5)
    assert scores_of_prompts(llama, []) == []
