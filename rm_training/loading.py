"""Loads trunk, head and tokenizer from disk or hub, and refuses what we would not run.

safetensors only, and never Python code that a model brings along.
"""

import hashlib
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import huggingface_hub.utils
import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from rm_training.architectures import SHARES_PROMPT
from rm_training.manifest import file_sha256
from rm_training.network import ModelError, head_of, moved

MODEL_TYPES: Final = SHARES_PROMPT | {"gemma2"}
"""Architectures whose sequence classifier is trunk + bias-free `score` head, read at
the last token. Others are refused rather than scored wrongly."""

PAD_TOKEN: Final = "<|pad|>"  # noqa: S105  a token of text


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
    torch.manual_seed(seed)  # before the head exists
    check_configs(base)
    model, missing = load_classifier(base)
    if missing - {"score.weight"}:
        raise ModelError(f"{base}: weights are missing: {', '.join(sorted(missing))}")
    tokenizer = load_tokenizer(base)
    _give_pad_token(model, tokenizer)
    _draw_head(model, seed)
    return moved(model, device), tokenizer


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
            f"{folder}: pad token {pads[0]} in config.json, {pads[1]} in the tokenizer "
            f"and EOS {tokenizer.eos_token_id}: the pads must be equal and not the EOS"
        )
    return moved(model, device), tokenizer


def check_configs(source: str) -> Mapping[str, Any]:
    """config.json of a model, after refusing what we would not run.

    Raises ModelError for a model that is not there, for an architecture outside
    MODEL_TYPES, and for one that brings Python code of its own.
    """
    if not Path(source).is_dir() and _looks_like_path(source):
        raise ModelError(f"there is no model directory {source}")
    with _one_line_errors(source), quiet_transformers():
        config, _ = PretrainedConfig.get_config_dict(source, **_where(source))
    if not config:
        raise ModelError(f"{source} holds no config.json: it is no model directory")
    _refuse_code(source, "config.json", config)
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
    if loading["mismatched_keys"]:
        raise ModelError(f"{source}: the weights do not fit a head of one output")
    head_of(model)
    # Dropout would make the K passes of a prompt disagree with each other.
    return model.eval(), set(loading["missing_keys"])


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """The tokenizer, which must know an EOS. Raises ModelError."""
    with _one_line_errors(source), quiet_transformers():
        settings = get_tokenizer_config(source, **_where(source))
    _refuse_code(source, "tokenizer_config.json", settings)
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
    """No bars, load reports or retries: what goes wrong is told once, as an error."""
    log: Any = transformers.utils.logging  # its functions carry no types
    hub: Any = huggingface_hub.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    hub_verbosity = hub.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()
    hub.set_verbosity_error()
    try:
        yield
    finally:
        hub.set_verbosity(hub_verbosity)
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def _give_pad_token(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """A pad token that is not EOS, the same one in tokenizer and config.

    Outside readers look for the last token that is not padding; with pad = EOS they
    would skip the EOS that the reward is read at.
    """
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    # Some models have more rows than tokens; those rows are left as they are.
    embeddings: Any = model.get_input_embeddings()
    known = embeddings.weight.shape[0]
    if len(tokenizer) > known:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        resized: Any = model.get_input_embeddings()
        with torch.no_grad():
            resized.weight[known:] = 0.0  # nothing attends to padding: no need to draw
    model.config.pad_token_id = tokenizer.pad_token_id


def _draw_head(model: PreTrainedModel, seed: int) -> None:
    head, generator = head_of(model), torch.Generator().manual_seed(seed)
    weight = torch.randn(head.weight.shape, generator=generator)  # (1, d)
    with torch.no_grad():
        head.weight.copy_(weight / math.sqrt(head.in_features + 1))


def _refuse_code(source: str, file: str, config: Mapping[str, Any]) -> None:
    for key in ("auto_map", "trust_remote_code"):
        if config.get(key):
            raise ModelError(
                f"{source}: {file} sets {key}: models with code of their own are not "
                "loaded"
            )


def _where(source: str) -> dict[str, Any]:
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


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over the files that the tokenizer saves."""
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        hashes = [f"{path.name} {file_sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
