"""Which layouts of a prompt's responses a model takes without changing a reward.

A shared prompt is only right where every token sees all that lies before it, by
positions that do not depend on what else is in the pass. Each architecture of
SHARES_PROMPT is held to that by a test; whatever is not known to be right is looped.
"""

from typing import Any, Final

import torch
from transformers import PreTrainedModel

from rm_training.costs import PASS_TOKENS_CPU, PASS_TOKENS_GPU, Trunk, layer_weights
from rm_training.layouts import Mode

SHARES_PROMPT: Final = frozenset(
    {
        "gemma",
        "gpt2",
        "gpt_neox",
        "llama",
        "mistral",
        "opt",
        "phi3",
        "qwen2",
        "qwen3",
        "smollm3",
        "stablelm",
    }
)
UNGATED: Final = frozenset({"gpt2", "gpt_neox", "opt"})
"""Feed-forward of two matrices, not three."""
ATTENTION: Final = frozenset({"eager", "sdpa"})
FIXED_ROPE: Final = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotary embeddings that do not change with the longest sequence of a pass."""


def modes_of(model: PreTrainedModel) -> frozenset[Mode]:
    """The layouts that give the rewards of K separate passes; always with loop.

    cached is left out while the trunk trains with gradient checkpointing: transformers
    then drops the keys and values of the prompt and says so in a log line only. The
    rewards were wrong by 3.8.
    """
    if not _sees_everything_before(model.config):
        return frozenset({"loop"})
    if _checkpoints_gradients(model):
        return frozenset({"loop", "packed"})
    return frozenset({"loop", "packed", "cached"})


def trunk_of(model: PreTrainedModel) -> Trunk:
    """What its layers cost, by the sizes in its config."""
    config: Any = model.config
    hidden, heads = config.hidden_size, config.num_attention_heads
    size = getattr(config, "head_dim", None) or hidden // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    inner = (
        getattr(config, "intermediate_size", None)
        or getattr(config, "ffn_dim", None)
        or getattr(config, "n_inner", None)
        or 4 * hidden
    )
    on_cpu = model.device.type == "cpu"
    return Trunk(
        layers=config.num_hidden_layers,
        weights=layer_weights(
            width=heads * size,
            keys=key_heads * size,
            hidden=hidden,
            inner=inner,
            gated=config.model_type not in UNGATED,
        ),
        width=heads * size,
        pass_tokens=PASS_TOKENS_CPU if on_cpu else PASS_TOKENS_GPU,
    )


def _sees_everything_before(config: Any) -> bool:
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        config.model_type in SHARES_PROMPT
        and config._attn_implementation in ATTENTION
        and kinds == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
        and _rope_is_fixed(config)
    )


def _rope_is_fixed(config: Any) -> bool:
    rope = getattr(config, "rope_parameters", None) or {}
    return rope.get("rope_type", "default") in FIXED_ROPE


def _checkpoints_gradients(model: PreTrainedModel) -> bool:
    trunk: torch.nn.Module = model
    return any(
        module.training and getattr(module, "gradient_checkpointing", False)
        for module in trunk.modules()
    )
