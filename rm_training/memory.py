"""Training in less memory: low-rank adapters, and activations computed twice."""

import warnings
from typing import Any, Final

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from rm_training.config import TrainingConfig

ALPHA_PER_RANK: Final = 2
"""LoRA's scaling is alpha / rank; peft's and TRL's usual choice is 2."""


def save_memory(model: PreTrainedModel, config: TrainingConfig) -> None:
    """Adds what the config asks for to a model that has just been loaded."""
    if config.lora_rank:
        _add_adapters(model, config)
    if config.gradient_checkpointing:
        _recompute_activations(model)


def merge_adapters(model: PreTrainedModel) -> None:
    """Adds each adapter to the weight beside it and removes it: a plain model again.

    Without adapters nothing happens. The rewards change by rounding only.
    """
    adapted = [name for name, module in model.named_modules() if _is_adapted(module)]
    for name in adapted:
        layer: Any = model.get_submodule(name)
        layer.merge(safe_merge=True)  # raises ValueError where a weight is not finite
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())


def trainable(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    """The parameters that learn: all, or with LoRA those of adapters and head."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def _add_adapters(model: PreTrainedModel, config: TrainingConfig) -> None:
    """LoRA (arXiv 2106.09685) on every linear layer of the trunk, drawn from the seed.

    The trunk is frozen; the head is no part of it, and goes on learning as it is.
    """
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415  slow import

    trunk: Any = getattr(model, model.base_model_prefix)
    torch.manual_seed(config.seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=ALPHA_PER_RANK * config.lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    with warnings.catch_warnings():
        # GPT-2's layers hold their weights the other way round; peft notices and says.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
        inject_adapter_in_model(lora, trunk)
    for module in model.modules():
        module.eval()  # new modules are born in training mode


def _is_adapted(module: torch.nn.Module) -> bool:
    return hasattr(module, "get_base_layer") and hasattr(module, "merge")


def _recompute_activations(model: PreTrainedModel) -> None:
    """Keeps one activation per layer for the backward pass and computes the rest anew.

    transformers does so in training mode only, which would bring dropout back. So the
    layers alone are told that they train, not the modules inside; the one architecture
    whose layers drop activations by themselves (OPT) is told not to.
    """
    enable: Any = model.activation_checkpointing_enable  # it carries no types
    enable({"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0  # type: ignore[assignment]
