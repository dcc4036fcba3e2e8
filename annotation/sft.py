"""Samples responses from an SFT model: any causal LM in a directory or on the hub.

torch, no ORM. Random numbers are drawn ahead for each row (PresetDraws), so that
what is sampled for a prompt does not depend on the prompts beside it in a batch, and
one seed means the same on a CPU and on a GPU (up to the rounding of the logits).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
)

from annotation.nucleus import Check, PresetDraws
from annotation.sampling import (
    Ask,
    Draw,
    Message,
    ModelUnusableError,
    Outcome,
    PromptRefusedError,
    PromptToAnswer,
    SamplingSettings,
    sample_different,
)

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
PROMPTS_AT_ONCE_ON_GPU = 8
WHAT_LOADING_RAISES = (
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class SftModel:
    """A causal LM with its tokenizer, ready to sample."""

    name: str  # last part of the directory, or the hub id
    revision: str  # of the weights: a hash of the files, or the hub's commit
    network: Any
    tokenizer: Any
    ends: frozenset[int]  # tokens that end a text
    pad: int

    @property
    def template(self) -> str:
        """`chat`, or `plain` for a tokenizer that has no chat template."""
        return "chat" if self.tokenizer.chat_template else "plain"

    @property
    def prompts_at_once(self) -> int:
        """Prompts in a batch; on a CPU a larger batch is not faster."""
        on_cpu = self.network.device.type == "cpu"
        return 1 if on_cpu else PROMPTS_AT_ONCE_ON_GPU

    def sample(
        self,
        prompts: Sequence[PromptToAnswer],
        settings: SamplingSettings,
        *,
        check: Check = lambda: None,
    ) -> list[Outcome]:
        """K different responses for each prompt, or why there are none."""
        return sample(self, prompts, settings, check=check)


def load(name: str) -> SftModel:
    """Load a directory or a hub id. Code that comes with a model is never run.

    A directory without config.json may hold one GGUF file instead.
    Errors: ModelUnusableError, one line.
    """
    folder = Path(name)
    if not folder.is_dir() and not HUB_ID.fullmatch(name):
        raise ModelUnusableError(f"{name!r} is neither a directory nor a hub id.")
    # What a directory lacks is an error, never looked up on the hub.
    options: dict[str, Any] = {
        "trust_remote_code": False,
        "local_files_only": folder.is_dir(),
    }
    gguf = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
    if gguf and not (folder / "config.json").exists():
        options["gguf_file"] = gguf[0].name
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        network = AutoModelForCausalLM.from_pretrained(
            name, dtype=_dtype(), use_safetensors=True, **options
        )
    except WHAT_LOADING_RAISES as error:
        reason = str(error).strip().splitlines()
        raise ModelUnusableError(
            f"{name!r} cannot be loaded as an SFT model:"
            f" {reason[0] if reason else type(error).__name__}"
        ) from error
    return _ready(name, network, tokenizer)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype() -> torch.dtype:
    return torch.bfloat16 if _device() == "cuda" else torch.float32


def _ready(name: str, network: Any, tokenizer: Any) -> SftModel:
    ends = _end_tokens(network, tokenizer)
    if not ends:
        raise ModelUnusableError(f"{name!r} names no token that ends a text.")
    # Penalties and filters that a model brings along would bend the distribution.
    network.generation_config = _configuration(eos_token_id=sorted(ends))
    folder = Path(name)
    return SftModel(
        name=folder.resolve().name if folder.is_dir() else name,
        revision=(
            fingerprint(folder)
            if folder.is_dir()
            else str(getattr(network.config, "_commit_hash", None) or "")
        ),
        network=network.to(_device()).eval(),
        tokenizer=tokenizer,
        ends=ends,
        # Only fills up shorter rows, behind a mask: any token will do.
        pad=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends),
    )


def _end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """What ends a text by the model's settings or by its tokenizer's."""
    configured = network.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return frozenset({*several, tokenizer.eos_token_id} - {None})


def fingerprint(folder: Path) -> str:
    """`sha256:` + 16 hex digits over the weight files of a directory, by name."""
    digest = hashlib.sha256()
    weights = (*folder.glob("*.safetensors"), *folder.glob("*.gguf"))
    for file in sorted(weights):
        with file.open("rb") as handle:
            digest.update(file.name.encode())
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:16]}"


def sample(
    model: SftModel,
    prompts: Sequence[PromptToAnswer],
    settings: SamplingSettings,
    *,
    prompts_at_once: int | None = None,
    check: Check = lambda: None,
) -> list[Outcome]:
    """K different responses for each prompt (see `sample_different`), in their order.

    `prompts_at_once` prompts share a batch; None: what suits the device. `check` is
    called before every token; what it raises ends the sampling.
    """
    size = prompts_at_once or model.prompts_at_once
    provenance = {
        "model": model.name,
        "revision": model.revision,
        "template": model.template,
    }
    outcomes = []
    for start in range(0, len(prompts), size):
        outcomes += sample_different(
            prompts[start : start + size],
            settings,
            draw=lambda asks: draw_texts(model, asks, settings, check=check),
            provenance=provenance,
        )
    return outcomes


def encode(
    model: SftModel, messages: list[Message], settings: SamplingSettings
) -> list[int]:
    """The prompt as the model was taught to read it; plain: contents, a blank line
    between them.

    Errors: PromptRefusedError when the template refuses it or it is too long.
    """
    if model.template == "plain":
        text = "\n\n".join(message["content"] for message in messages)
        tokens = model.tokenizer(text)["input_ids"]
    else:
        try:
            text = model.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise PromptRefusedError(
                f"the model's chat template refuses these messages: {error}"
            ) from error
        tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    _check_length(model, len(tokens), settings.max_new_tokens)
    return list(tokens)


def _check_length(model: SftModel, tokens: int, new_tokens: int) -> None:
    if not tokens:
        raise PromptRefusedError("the prompt has no tokens")
    most = getattr(model.network.config, "max_position_embeddings", None)
    if most is not None and tokens + new_tokens > most:
        raise PromptRefusedError(
            f"the prompt has {tokens} tokens and {new_tokens} are to be added: the"
            f" model takes {most}"
        )


def draw_texts(
    model: SftModel,
    asks: Sequence[Ask],
    settings: SamplingSettings,
    *,
    check: Check = lambda: None,
) -> list[list[Draw] | PromptRefusedError]:
    """All rows of all asks in one batch, shorter prompts padded on the left."""
    answers: list[list[Draw] | PromptRefusedError] = []
    encoded: list[tuple[Ask, list[int]]] = []
    for ask in asks:
        try:
            encoded.append((ask, encode(model, ask.prompt.messages, settings)))
            answers.append([])
        except PromptRefusedError as refusal:
            answers.append(refusal)
    drawn = iter(_generate(model, encoded, settings, check) if encoded else [])
    for ask, answer in zip(asks, answers, strict=True):
        if isinstance(answer, list):
            answer.extend(next(drawn) for _ in range(ask.rows))
    return answers


@torch.inference_mode()
def _generate(
    model: SftModel,
    encoded: list[tuple[Ask, list[int]]],
    settings: SamplingSettings,
    check: Check,
) -> list[Draw]:
    """One draw for each row of each ask, in their order."""
    longest = max(len(tokens) for _, tokens in encoded)
    rows: list[list[int]] = []
    masks: list[list[int]] = []
    for ask, tokens in encoded:
        padding = longest - len(tokens)
        rows += [[model.pad] * padding + tokens] * ask.rows
        masks += [[0] * padding + [1] * len(tokens)] * ask.rows
    device = model.network.device
    draws = PresetDraws(
        torch.cat([_uniforms(ask, settings) for ask, _ in encoded]).to(device),
        prompt_tokens=longest,
        settings=settings,
        check=check,
    )
    written = model.network.generate(
        input_ids=torch.tensor(rows, device=device),  # (B, T)
        attention_mask=torch.tensor(masks, device=device),  # (B, T)
        generation_config=_configuration(
            do_sample=False,  # greedy among what PresetDraws leaves
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=sorted(model.ends),
            pad_token_id=model.pad,
        ),
        logits_processor=LogitsProcessorList([draws]),
    )
    return [_read(model, row[longest:]) for row in written.tolist()]


def _configuration(**values: Any) -> GenerationConfig:
    untyped: Any = GenerationConfig  # its constructor carries no types
    made: GenerationConfig = untyped(**values)
    return made


def _uniforms(ask: Ask, settings: SamplingSettings) -> torch.Tensor:
    """(rows, max_new_tokens), from the CPU's generator: the same on every device."""
    generator = torch.Generator().manual_seed(ask.seed)
    return torch.rand(ask.rows, settings.max_new_tokens, generator=generator)


def _read(model: SftModel, tokens: list[int]) -> Draw:
    """The text before the first token that ends it."""
    end = next((i for i, token in enumerate(tokens) if token in model.ends), None)
    text = model.tokenizer.decode(
        tokens[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return Draw(
        text=text,
        tokens=len(tokens) if end is None else end,
        truncated=end is None,
    )
