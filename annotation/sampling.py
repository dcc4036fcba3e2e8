"""PURE: what to sample for each prompt, and which of the sampled texts to keep.

Nothing here knows torch or Django. A model is whatever draws texts (`Draw`) when asked
(`Ask`), so that the rules can be tested with texts written by hand.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

FEWEST_TEXTS, MOST_TEXTS = 4, 9
MOST_RESAMPLINGS = 3
HIGHEST_TEMPERATURE = 5.0
MOST_NEW_TOKENS = 8192
HIGHEST_SEED = 2**31 - 1  # as the database stores it

Message = dict[str, str]


class ModelUnusableError(Exception):
    """The SFT model cannot be loaded; the message says why, in one line."""


class PromptRefusedError(Exception):
    """The model cannot take this prompt; the message says why, in one line."""


@dataclass(frozen=True)
class SamplingSettings:
    """How texts are drawn. Errors: ValueError naming the setting and its limits."""

    k_min: int = FEWEST_TEXTS  # fewest responses for a prompt
    k_max: int = MOST_TEXTS  # most
    temperature: float = 1.0  # divides the logits
    top_p: float = 0.95  # share of probability kept, most likely tokens first
    max_new_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not FEWEST_TEXTS <= self.k_min <= self.k_max <= MOST_TEXTS:
            raise ValueError(
                f"k is {self.k_min}-{self.k_max}: it must lie within"
                f" {FEWEST_TEXTS}-{MOST_TEXTS}, the smaller number first."
            )
        if not 0 < self.temperature <= HIGHEST_TEMPERATURE:
            raise ValueError(
                f"temperature is {self.temperature}: it must be above 0 and at most"
                f" {HIGHEST_TEMPERATURE:g}."
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top-p is {self.top_p}: it must be above 0, at most 1.")
        if not 1 <= self.max_new_tokens <= MOST_NEW_TOKENS:
            raise ValueError(
                f"the length is {self.max_new_tokens} tokens: it must be"
                f" 1-{MOST_NEW_TOKENS}."
            )
        if not 0 <= self.seed <= HIGHEST_SEED:
            raise ValueError(f"the seed is {self.seed}: it must be 0-{HIGHEST_SEED}.")


@dataclass(frozen=True)
class GenerationSettings:
    """What a generation run was asked for."""

    model: str  # a directory, a folder of the model root, or a hub id
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    limit: int | None = None  # most prompts; None: all that wait

    def as_json(self) -> dict[str, Any]:
        """What the run's row keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "GenerationSettings":
        """The settings of a run's row."""
        return cls(
            model=stored["model"],
            sampling=SamplingSettings(**stored["sampling"]),
            limit=stored["limit"],
        )


@dataclass(frozen=True)
class PromptToAnswer:
    """A prompt's outside id, from which its seeds come, and its messages."""

    id: str
    messages: list[Message]


@dataclass(frozen=True)
class Ask:
    """`rows` texts wanted for a prompt, drawn with random numbers from `seed`."""

    prompt: PromptToAnswer
    rows: int
    seed: int


@dataclass(frozen=True)
class Draw:
    """One text that a model wrote."""

    text: str
    tokens: int  # new ones, without the one that ends the text
    truncated: bool  # the limit came before the model ended its text


@dataclass(frozen=True)
class SampledResponse:
    """A text to keep, with how it came about."""

    text: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one prompt: four responses or more, or a reason for none."""

    prompt_id: str
    responses: tuple[SampledResponse, ...] = ()
    failure: str = ""


class Sampler(Protocol):
    """A loaded model, as the job of answering prompts sees it."""

    @property
    def name(self) -> str:
        """What responses call the model."""

    @property
    def prompts_at_once(self) -> int:
        """How many prompts fit into one batch."""

    def sample(
        self,
        prompts: Sequence[PromptToAnswer],
        settings: SamplingSettings,
        *,
        check: Callable[[], None],
    ) -> list[Outcome]:
        """One outcome for each prompt, in their order. `check` is called at every
        step and may raise, to end the work there."""


# One list of draws for each ask, or the reason why the prompt cannot be answered.
DrawTexts = Callable[[Sequence[Ask]], Sequence[list[Draw] | PromptRefusedError]]


def number_from(*parts: object) -> int:
    """A number of 63 bits that depends on the parts only; torch seeds take it."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def responses_wanted(settings: SamplingSettings, prompt_id: str) -> int:
    """K of a prompt: uniform in k_min..k_max, always the same for the same seed."""
    choices = settings.k_max - settings.k_min + 1
    return settings.k_min + number_from(settings.seed, prompt_id, "k") % choices


@dataclass
class _Search:
    """The different texts found so far for one prompt."""

    prompt: PromptToAnswer
    wanted: int
    found: dict[str, SampledResponse] = field(default_factory=dict)
    refusal: str = ""

    @property
    def missing(self) -> int:
        return 0 if self.refusal else self.wanted - len(self.found)

    def keep(self, draws: list[Draw], params: dict[str, Any]) -> None:
        """Keep what is new. Postgres stores no NUL, so such a text is no response."""
        for draw in draws:
            if draw.text in self.found or "\0" in draw.text:
                continue
            counts = {"tokens": draw.tokens, "truncated": draw.truncated}
            self.found[draw.text] = SampledResponse(draw.text, {**params, **counts})

    def outcome(self, settings: SamplingSettings) -> Outcome:
        if self.refusal:
            return Outcome(self.prompt.id, failure=self.refusal)
        if len(self.found) < FEWEST_TEXTS:
            return Outcome(
                self.prompt.id,
                failure=f"only {len(self.found)} different texts after"
                f" {MOST_RESAMPLINGS} re-samplings (at least {FEWEST_TEXTS} are needed;"
                f" temperature {settings.temperature:g}, top-p {settings.top_p:g})",
            )
        return Outcome(self.prompt.id, tuple(self.found.values()))


def sample_different(
    prompts: Sequence[PromptToAnswer],
    settings: SamplingSettings,
    *,
    draw: DrawTexts,
    provenance: dict[str, Any],
) -> list[Outcome]:
    """Draw K texts for each prompt; draw again, up to three times, what came twice.

    K shrinks to the number of different texts when these are four at least; with
    fewer the prompt fails. An empty text is a text. Seeds come from the prompt's id
    and the attempt, so the draws for a prompt do not depend on its neighbours.
    `provenance` goes into each response's params.
    """
    searches = [_Search(p, responses_wanted(settings, p.id)) for p in prompts]
    for attempt in range(1 + MOST_RESAMPLINGS):
        unfinished = [search for search in searches if search.missing]
        if not unfinished:
            break
        asks = [
            Ask(s.prompt, s.missing, number_from(settings.seed, s.prompt.id, attempt))
            for s in unfinished
        ]
        params = {
            **provenance,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_new_tokens": settings.max_new_tokens,
            "seed": settings.seed,
            "attempt": attempt + 1,
        }
        for search, drawn in zip(unfinished, draw(asks), strict=True):
            if isinstance(drawn, PromptRefusedError):
                search.refusal = str(drawn)
            else:
                search.keep(drawn, params)
    return [search.outcome(settings) for search in searches]
