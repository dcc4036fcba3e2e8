"""Prompts with the rewards of a model and the rankings of people, as arrays. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import isfinite
from typing import Self

import numpy as np

from ranking.rank_table import BoolArray, FloatArray, IntArray
from rm_training.data import NOT_RANKED, Example


@dataclass(frozen=True, kw_only=True)
class JudgedPrompt:
    """A prompt with its K responses, what the model gave and what people said.

    Raises ValueError where a reward is not finite or lengths do not fit.
    """

    rewards: tuple[float, ...]
    lengths: tuple[int, ...]
    """Characters of each response."""
    rankings: tuple[tuple[int, ...], ...]
    """N rankings of K ranks: lower is better, equal is a tie, 0 is not ranked."""
    labelers: tuple[str | None, ...] = ()
    """N pseudonyms; empty or None where nobody is named."""
    models: tuple[str | None, ...] = ()
    """K names of the models that wrote the responses; likewise."""
    tags: tuple[str, ...] = ()
    turns: int = 1
    """Messages by the user."""
    ratings: tuple[tuple[int | None, ...], ...] = ()
    """N rows of K ratings, higher is better; empty or None where nobody rated."""

    def __post_init__(self) -> None:
        if not all(map(isfinite, self.rewards)):
            raise ValueError("a reward is not finite")
        sizes = {len(self.lengths), *map(len, self.rankings), *map(len, self.ratings)}
        if sizes | {len(self.models or self.rewards)} != {len(self.rewards)}:
            raise ValueError(
                "a prompt's lengths, ranks, ratings and models are one a response"
            )
        count = len(self.rankings)
        if {len(self.labelers) or count, len(self.ratings) or count} != {count}:
            raise ValueError("a prompt's labelers and ratings are one a ranking")


def judged(example: Example, rewards: Sequence[float | None]) -> JudgedPrompt | None:
    """The example with K rewards; None is a response that could not be scored, which
    is in no pair. None where fewer than two responses were scored."""
    kept = [i for i, reward in enumerate(rewards) if reward is not None]
    if len(kept) < 2:
        return None
    return JudgedPrompt(
        rewards=tuple(reward for reward in rewards if reward is not None),
        lengths=tuple(len(example.responses[i]) for i in kept),
        rankings=tuple(tuple(ranks[i] for i in kept) for ranks in example.rankings),
        labelers=example.labelers,
        models=tuple(example.models[i] for i in kept) if example.models else (),
        tags=example.tags,
        ratings=tuple(tuple(row[i] for i in kept) for row in example.ratings),
        turns=sum(message["role"] == "user" for message in example.messages),
    )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of responses of which one labeler said something, each array `(n,)`.

    Responses, rankings and prompts are running numbers from 0.
    """

    prompt: IntArray
    ranking: IntArray
    better: IntArray
    """The response that the labeler prefers; of a tie, either."""
    worse: IntArray
    distance: IntArray
    """Dense rank of the worse less that of the better; 0 is a tie."""
    margin: FloatArray
    """Reward of the better less that of the worse."""

    def __len__(self) -> int:
        return len(self.prompt)

    def where(self, chosen: BoolArray) -> Self:
        """The pairs that are chosen, `(n,)`."""
        columns = (getattr(self, name) for name in self.__dataclass_fields__)
        return type(self)(*(column[chosen] for column in columns))

    @cached_property
    def credit(self) -> FloatArray:
        """1 where the model prefers the better response, ½ where it ties, else 0."""
        return (np.sign(self.margin) + 1) / 2


@dataclass(frozen=True, eq=False)
class Split:
    """The prompts of one split, as one table of responses and one of pairs."""

    prompts: Sequence[JudgedPrompt]

    @cached_property
    def first_response(self) -> IntArray:
        """Running number of the first response of each prompt, and one past the last
        response: `(prompts + 1,)`."""
        counts = [len(prompt.rewards) for prompt in self.prompts]
        return np.cumsum([0, *counts])

    @cached_property
    def rewards(self) -> FloatArray:
        """Of all responses, prompt by prompt."""
        found = [reward for prompt in self.prompts for reward in prompt.rewards]
        return np.array(found, np.float64)

    @cached_property
    def lengths(self) -> IntArray:
        """Characters of all responses."""
        found = [length for prompt in self.prompts for length in prompt.lengths]
        return np.array(found, np.int64)

    @cached_property
    def models(self) -> list[str | None]:
        """What wrote each response."""
        return [
            name
            for prompt in self.prompts
            for name in prompt.models or (None,) * len(prompt.rewards)
        ]

    @cached_property
    def ratings(self) -> list[tuple[int | None, ...]]:
        """What each ranking's labeler gave the responses of its prompt."""
        return [
            row
            for prompt in self.prompts
            for row in prompt.ratings
            or ((None,) * len(prompt.rewards),) * len(prompt.rankings)
        ]

    @cached_property
    def ranking_prompt(self) -> IntArray:
        """The prompt of each ranking."""
        counts = [len(prompt.rankings) for prompt in self.prompts]
        return np.repeat(np.arange(len(self.prompts)), counts)

    @cached_property
    def labelers(self) -> list[str | None]:
        """Who made each ranking."""
        return [
            name
            for prompt in self.prompts
            for name in prompt.labelers or (None,) * len(prompt.rankings)
        ]

    @cached_property
    def pairs(self) -> Pairs:
        """All pairs that somebody ranked, ties included, ranking by ranking."""
        parts = [
            np.add(_pairs_of(ranks), [[first], [first], [0]])
            for first, prompt in zip(self.first_response, self.prompts, strict=False)
            for ranks in prompt.rankings
        ]
        nothing = (np.zeros(0, np.int64),) * 3
        better, worse, distance = map(np.concatenate, zip(nothing, *parts, strict=True))
        counts = [len(part[0]) for part in parts]
        ranking = np.repeat(np.arange(len(parts)), counts)
        return Pairs(
            prompt=self.ranking_prompt[ranking],
            ranking=ranking,
            better=better,
            worse=worse,
            distance=distance,
            margin=self.rewards[better] - self.rewards[worse],
        )

    @cached_property
    def strict(self) -> Pairs:
        """The pairs that the labeler ordered."""
        return self.pairs.where(self.pairs.distance > 0)

    @cached_property
    def orders(self) -> list[tuple[int, FloatArray, IntArray]]:
        """(prompt, rewards, tiers) of each ranking that orders something.

        Of the responses that it ranks; tiers count from 0, the best.
        """
        found = []
        for number, prompt in enumerate(self.prompts):
            rewards = np.array(prompt.rewards)
            for ranks in prompt.rankings:
                ranked, tiers = _tiers(ranks)
                if tiers.any():
                    found.append((number, rewards[ranked], tiers))
        return found


def _tiers(ranks: Sequence[int]) -> tuple[IntArray, IntArray]:
    """The places that are ranked, and the dense rank of each from 0."""
    tier_of = {rank: t for t, rank in enumerate(sorted({*ranks} - {NOT_RANKED}))}
    ranked = [place for place, rank in enumerate(ranks) if rank != NOT_RANKED]
    tiers = [tier_of[ranks[place]] for place in ranked]
    return np.array(ranked, np.int64), np.array(tiers, np.int64)


def _pairs_of(ranks: Sequence[int]) -> IntArray:
    """Places of better and worse, and how many tiers apart: `(3, pairs)`."""
    ranked, tiers = _tiers(ranks)
    first, second = _every_two(len(ranked))
    apart = tiers[second] - tiers[first]
    upside_down = apart < 0
    better = np.where(upside_down, ranked[second], ranked[first])
    worse = np.where(upside_down, ranked[first], ranked[second])
    return np.array([better, worse, np.abs(apart)])


@cache
def _every_two(count: int) -> tuple[IntArray, IntArray]:
    return np.triu_indices(count, 1)
