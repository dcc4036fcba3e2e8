"""Every knob of a training run, checked when it is made. PURE."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self

Loss = Literal["prompt_mean", "pair_mean"]
Ties = Literal["drop", "soft"]
Labels = Literal["each", "share"]
PairWeight = Literal["equal", "distance"]

LOSSES: Final = ("prompt_mean", "pair_mean")
TIES: Final = ("drop", "soft")
LABELS: Final = ("each", "share")
PAIR_WEIGHTS: Final = ("equal", "distance")
DTYPES: Final = ("float32", "bfloat16")


class ConfigError(ValueError):
    """A setting of the run is out of its range; the message names it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a reward model is trained. Defaults: full fine-tuning as in InstructGPT C.2.

    >>> TrainingConfig(lr=0.0)
    Traceback (most recent call last):
    rm_training.config.ConfigError: lr must be above 0, got 0.0
    """

    loss: Loss = "prompt_mean"
    """prompt_mean: pairs → rankings → prompts; pair_mean: all pairs count the same."""
    ties: Ties = "drop"
    """drop: a tie gives no pair; soft: a tie is half a win each way."""
    labels: Labels = "each"
    """each: every labeler's pair is a label of its own. share: a pair of responses is
    one label, the share of labelers who prefer the one (a soft label)."""
    pair_weight: PairWeight = "equal"
    """equal: all pairs of a ranking count the same; distance: a pair counts as many
    times as its ranks are apart."""
    margin: float = 0.0
    """Nats by which the winner's reward must be ahead, per rank between the two."""
    centering: float = 0.01
    """Coefficient of (r⁺ + r⁻)², which keeps rewards near zero. 0 switches it off."""
    lr: float = 9e-6
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW."""
    warmup: float = 0.03
    """Share of all steps over which the learning rate rises linearly."""
    final_lr: float = 0.1
    """Where the cosine ends, as a share of the peak learning rate."""
    clip: float = 1.0
    """Largest global L2 norm of the gradient."""
    epochs: int = 1
    """Passes over the training prompts."""
    max_steps: int | None = None
    """Optimizer steps at most, whatever the epochs say."""
    prompts_per_step: int = 16
    """Prompts, each with all its responses, in one optimizer step."""
    prompts_per_pass: int = 4
    """Prompts in one forward pass: bounds memory, changes nothing but rounding."""
    max_length: int | None = None
    """Tokens of prompt + response + EOS. None: the model's limit, at most 2,048."""
    max_prompt_tokens: int | None = None
    """Longer prompts lose their oldest tokens. None: half of max_length."""
    lora_rank: int = 0
    """Rank of low-rank adapters on the trunk, whose own weights then stay as they are;
    the head learns in full. 0: all weights learn."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time."""
    eval_every: int = 25
    """Steps between evaluations on valid1. There is always one after the last step."""
    checkpoint_every: int = 200
    """Steps between checkpoints that a killed run resumes from. 0: none."""
    checkpoints_kept: int = 2
    """Newest checkpoints on disk, each with the best weights so far."""
    patience: int = 0
    """Stop after so many evaluations on valid1 without a better one. 0: never."""
    reference: str | None = None
    """A JSONL file of prompts and responses; after training, the mean of their rewards
    becomes the zero of normalised rewards."""
    seed: int = 0
    """Of the head's first weights and of the order of the prompts."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: autocast in the trunk; weights, head and loss stay in float32."""
    device: str = "auto"
    """A torch device; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        """Raise ConfigError for the first field that has the wrong type or range."""
        for name, (kind, holds, says) in _RULES.items():
            value = getattr(self, name)
            if not _is_a(kind, value) or not holds(value):
                raise ConfigError(f"{name} must be {says}, got {value!r}")
        if (
            self.max_length is not None
            and self.max_prompt_tokens is not None
            and self.max_prompt_tokens >= self.max_length
        ):
            raise ConfigError(
                f"max_prompt_tokens ({self.max_prompt_tokens}) must leave room for a "
                f"response within max_length ({self.max_length})"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, so that equal configs give equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The config with these fields; absent ones take their defaults.

        Raises ConfigError for a name that is no setting, or a value out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise ConfigError(f"there is no setting named {name!r}")
        return cls(**fields)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of to_json. Raises ConfigError."""
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"the settings are not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ConfigError("the settings must be a JSON object")
        return cls.from_dict(fields)


def _is_a(kinds: tuple[type, ...], value: object) -> bool:
    # True is an int to Python, but "epochs: true" is a mistake.
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


_REAL = (int, float)
_COUNT = (int,)
_OPTIONAL_COUNT = (int, type(None))

# field → (types, what must hold, how to say it)
_RULES: Final[dict[str, tuple[tuple[type, ...], Callable[[Any], bool], str]]] = {
    "loss": ((str,), LOSSES.__contains__, f"one of {', '.join(LOSSES)}"),
    "ties": ((str,), TIES.__contains__, f"one of {', '.join(TIES)}"),
    "labels": ((str,), LABELS.__contains__, f"one of {', '.join(LABELS)}"),
    "pair_weight": (
        (str,),
        PAIR_WEIGHTS.__contains__,
        f"one of {', '.join(PAIR_WEIGHTS)}",
    ),
    "margin": (_REAL, lambda x: 0 <= x < math.inf, "0 or more"),
    "centering": (_REAL, lambda x: 0 <= x < math.inf, "0 or more"),
    "lr": (_REAL, lambda x: 0 < x < math.inf, "above 0"),
    "weight_decay": (_REAL, lambda x: 0 <= x < math.inf, "0 or more"),
    "warmup": (_REAL, lambda x: 0 <= x < 1, "a share from 0 to below 1"),
    "final_lr": (_REAL, lambda x: 0 <= x <= 1, "a share from 0 to 1"),
    "clip": (_REAL, lambda x: 0 < x < math.inf, "above 0"),
    "epochs": (_COUNT, lambda n: n >= 1, "a whole number from 1"),
    "max_steps": (
        _OPTIONAL_COUNT,
        lambda n: n is None or n >= 1,
        "a whole number from 1, or nothing",
    ),
    "prompts_per_step": (_COUNT, lambda n: n >= 1, "a whole number from 1"),
    "prompts_per_pass": (_COUNT, lambda n: n >= 1, "a whole number from 1"),
    "max_length": (
        _OPTIONAL_COUNT,
        lambda n: n is None or n >= 4,
        "a whole number of tokens from 4, or nothing",
    ),
    "max_prompt_tokens": (
        _OPTIONAL_COUNT,
        lambda n: n is None or n >= 2,
        "a whole number of tokens from 2, or nothing",
    ),
    "lora_rank": (_COUNT, lambda n: n >= 0, "a whole number from 0"),
    "gradient_checkpointing": ((bool,), lambda b: True, "true or false"),
    "eval_every": (_COUNT, lambda n: n >= 1, "a whole number of steps from 1"),
    "checkpoint_every": (_COUNT, lambda n: n >= 0, "a whole number of steps from 0"),
    "checkpoints_kept": (_COUNT, lambda n: n >= 1, "a whole number from 1"),
    "patience": (_COUNT, lambda n: n >= 0, "a whole number of evaluations from 0"),
    "reference": (
        (str, type(None)),
        lambda s: s is None or s.strip() != "",
        "the path of a file, or nothing",
    ),
    "seed": (_COUNT, lambda n: 0 <= n < 2**63, "a whole number from 0 to 2^63 - 1"),
    "dtype": ((str,), DTYPES.__contains__, f"one of {', '.join(DTYPES)}"),
    "device": ((str,), lambda s: s.strip() != "", "the name of a torch device"),
}
