"""The trunk of a causal LM with a scalar head, and its rewards.

A reward is read at the last token of a sequence (its EOS), found by its length and not
by looking for padding, and the head runs in float32 even where the trunk does not:
half-precision rewards tie by rounding.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rm_training.batch import EncodedPrompt, Rows, pad_rows
from rm_training.config import ConfigError, TrainingConfig
from rm_training.encoding import Limits

MODEL_TYPES: Final = frozenset(
    {
        "gemma",
        "gemma2",
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
"""Architectures whose sequence classifier is trunk + bias-free `score` head, read at
the last token. Others are refused rather than scored wrongly."""

PAD_TOKEN: Final = "<|pad|>"  # noqa: S105  a token of text
LONGEST: Final = 2048
"""Tokens of a sequence where the config leaves max_length open."""


class ModelError(RuntimeError):
    """A model cannot be loaded or used; the message names it and says why."""


def load_base(
    base: str, *, seed: int, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Trunk of a causal LM (directory or hub id) with a new head, and its tokenizer.

    The LM's output head is left out; the new head is N(0, 1 / (d + 1)) from the seed
    (arXiv 2009.01325), without bias. A pad token distinct from EOS is added where there
    is none. Weights are float32. Dropout is off, in training too.

    Raises ModelError in one line: not found, an architecture outside MODEL_TYPES, code
    of its own, no safetensors, weights missing, no EOS.
    """
    torch.manual_seed(seed)  # before anything is drawn: rows of new tokens, the head
    check_configs(base)
    model, missing = load_classifier(base)
    if missing - {"score.weight"}:
        raise ModelError(f"{base}: weights are missing: {', '.join(sorted(missing))}")
    tokenizer = load_tokenizer(base)
    _give_pad_token(model, tokenizer)
    _draw_head(model, seed)
    return model.to(device), tokenizer


def load_trained(
    folder: Path, *, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A reward model that was saved by save_pretrained, ready to score.

    Raises ModelError where load_base does, and for a head that is missing or not one
    number wide, and for pad tokens that differ between config and tokenizer.
    """
    config = check_configs(str(folder))
    if len(config.get("id2label", {0: ""})) != 1 and config.get("num_labels") != 1:
        raise ModelError(f"{folder}: a reward model has one output, not several")
    model, missing = load_classifier(str(folder))
    if missing:
        raise ModelError(f"{folder}: weights are missing: {', '.join(sorted(missing))}")
    tokenizer = load_tokenizer(str(folder))
    pads = model.config.pad_token_id, tokenizer.pad_token_id
    if pads[0] is None or pads[0] != pads[1] or pads[0] == tokenizer.eos_token_id:
        raise ModelError(
            f"{folder}: pad token {pads[0]} in config.json, {pads[1]} in the tokenizer, "
            f"EOS {tokenizer.eos_token_id}: the pads must be equal and not the EOS"
        )
    return model.to(device), tokenizer


def rewards_of_rows(
    model: PreTrainedModel, rows: Rows, *, bfloat16: bool = False
) -> Tensor:
    """Rewards (R,) in float32; with bfloat16 the trunk runs under autocast.

    The rows are moved to the model's device.
    """
    rows = rows.to(model.device)
    body = getattr(model, model.base_model_prefix)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
        hidden = body(
            input_ids=rows.input_ids,
            attention_mask=rows.attention_mask,
            use_cache=False,
        ).last_hidden_state  # (R, T, d)
    every_row = torch.arange(len(rows.lengths), device=hidden.device)
    last = hidden[every_row, rows.lengths - 1]  # (R, d)
    with torch.autocast(model.device.type, enabled=False):
        rewards: Tensor = model.score(last.float()).squeeze(-1)  # (R, 1) → (R,)
    return rewards


def rewards_of_prompts(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt], *, bfloat16: bool = False
) -> Tensor:
    """Rewards (B, K) of B prompts, K the most responses of one; padding is 0.

    One forward pass over all Σ K rows. This is the only place that decides how the
    responses of a prompt are encoded together.
    """
    sequences = [row for prompt in prompts for row in prompt.rows()]
    pad = model.config.pad_token_id
    counts = torch.tensor([len(prompt.responses) for prompt in prompts])
    rewards = rewards_of_rows(
        model, pad_rows(sequences, pad_token_id=pad), bfloat16=bfloat16
    )
    filled = torch.arange(int(counts.max())) < counts.unsqueeze(1)  # (B, K)
    table = rewards.new_zeros(filled.shape)
    # Row-major order of `filled` is the order of the rows: prompt by prompt.
    return table.masked_scatter(filled.to(rewards.device), rewards)


def choose_device(name: str) -> torch.device:
    """The torch device; auto is a GPU where there is one. Raises ConfigError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is unknown to torch") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r}: this machine has no GPU that torch can use")
    return device


def limits_of(model: PreTrainedModel, config: TrainingConfig) -> Limits:
    """Lengths in tokens from the config and the model's positions. ConfigError."""
    positions = getattr(model.config, "max_position_embeddings", None) or math.inf
    longest = config.max_length or int(min(LONGEST, positions))
    if longest > positions:
        raise ConfigError(
            f"max_length is {longest}, but the base model has {positions} positions"
        )
    prompt = config.max_prompt_tokens or longest // 2
    if prompt >= longest:
        raise ConfigError(
            f"max_prompt_tokens is {prompt}, which leaves no room for a response "
            f"within {longest} tokens"
        )
    return Limits(max_length=longest, max_prompt_tokens=prompt)


def weights_sha256(model: PreTrainedModel) -> str:
    """SHA-256 of the trunk's weights, by name: which base a model was trained from.

    Read it right after load_base, before training; the head is not in it.
    """
    digest = hashlib.sha256()
    body = getattr(model, model.base_model_prefix)
    for name, weight in sorted(body.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def check_configs(source: str) -> Mapping[str, Any]:
    """config.json of a model, after refusing what we would not run.

    Raises ModelError for a model that is not there, for an architecture outside
    MODEL_TYPES, and for one that brings Python code of its own.
    """
    if not Path(source).is_dir() and _looks_like_path(source):
        raise ModelError(f"there is no model directory {source}")
    with _one_line_errors(source):
        config, _ = PretrainedConfig.get_config_dict(source, **_where(source))
    for key in ("auto_map", "trust_remote_code"):
        if config.get(key):
            raise ModelError(
                f"{source}: config.json sets {key}: models with code of their own are "
                "not loaded"
            )
    if config.get("model_type") not in MODEL_TYPES:
        raise ModelError(
            f"{source}: model type {config.get('model_type')!r} is not supported; "
            f"supported: {', '.join(sorted(MODEL_TYPES))}"
        )
    return dict(config)


def load_classifier(source: str) -> tuple[PreTrainedModel, set[str]]:
    """…ForSequenceClassification with one output in float32, and the missing weights.

    safetensors only, never code of the model's own. Raises ModelError.
    """
    with _one_line_errors(source), quiet_transformers():
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            source,
            num_labels=1,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **_where(source),
        )
    if loading["mismatched_keys"] or getattr(model.score, "bias", None) is not None:
        raise ModelError(f"{source}: weights do not fit a head of one output, no bias")
    # Dropout would make the K passes of a prompt disagree with each other.
    return model.eval(), set(loading["missing_keys"])


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """The tokenizer, which must know an EOS. Raises ModelError."""
    with _one_line_errors(source), quiet_transformers():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, trust_remote_code=False, **_where(source)
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{source}: the tokenizer has no EOS token")
    tokenizer.padding_side = "right"
    return tokenizer


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars or load reports: what they tell is checked here, by name."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def _give_pad_token(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """A pad token that is not EOS, the same one in tokenizer and config.

    Outside readers look for the last token that is not padding; with pad = EOS they
    would skip the EOS that the reward is read at.
    """
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    # Some models have more rows than tokens; those rows are left as they are.
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id


def _draw_head(model: PreTrainedModel, seed: int) -> None:
    d = model.score.in_features
    generator = torch.Generator().manual_seed(seed)
    head = torch.randn(1, d, generator=generator) / math.sqrt(d + 1)
    with torch.no_grad():
        model.score.weight.copy_(head)


def _where(source: str) -> dict[str, bool]:
    # A directory is never looked up at the hub, not even for a file that it lacks.
    return {"local_files_only": Path(source).is_dir()}


def _looks_like_path(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.count("/") > 1


@contextmanager
def _one_line_errors(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"cannot load {source}: {reason}") from error
