"""Simulated labelers: what they see, what leads them astray, when they work.

Each response has a worth. A labeler perceives

    contrast · worth + noise · e + position_bias · (½ - place) + length_bias · z

and orders by it: worth, e and z (the standardised logarithm of the length) are
standard normal and independent, place goes from 0 (shown first) to 1. Neighbours in
that order that are no more than `tie_width` apart share a tier. With equal noise and
no bias this is case V of Thurstone, A law of comparative judgment (Psychological
Review 34, 1927), so that what two labelers agree on has a closed form:
`expected_agreement`.

Everything that a statistic, a flag or a consensus is to find is known here: the worth
of each response, and each labeler's noise and habits. One seed, one simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import asin, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from ranking.rank_table import FloatArray, IntArray, RankTable
from ranking.weeks import iso_weeks
from tests.ranking.ranked import Ranked, by_tag

CHARACTERS_PER_WORD = 6
WORKDAYS = 5
MONDAY = np.datetime64("2026-08-31T09:00:00")  # UTC

Times = NDArray[np.datetime64]


@dataclass(frozen=True, kw_only=True)
class Labeler:
    """How one labeler works; all zeros would be a perfect one.

    - `noise`: its standard deviation, that of the responses' worth being 1.
    - `tie_width`: in the same unit; 0 never ties.
    - `position_bias`: how much better the first place on the page looks than the last.
    - `length_bias`: how much better a response looks for each standard deviation of
      the logarithm of its length; negative where short ones are liked.
    - `careless`: share of rankings that are a random order, without ties.
    - `tiring`, `drift`: noise added by each further ranking of a sitting, and by each
      further week.
    - `seconds_per_word`: of the responses; the median, times vary about it.
    """

    name: str
    noise: float = 0.6
    tie_width: float = 0.0
    position_bias: float = 0.0
    length_bias: float = 0.0
    careless: float = 0.0
    tiring: float = 0.0
    drift: float = 0.0
    seconds_per_word: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A project, before anybody works in it.

    - `overlap`: labelers per prompt, chosen at random; None: all of them.
    - `ks`, `contrasts`: a prompt has one of each, all equally likely. A small contrast
      makes a hard prompt: its responses are nearly as good as each other.
    - `tags`: the share of prompts that carry each.
    - `repeat_share`: of the rankings, those that their labeler makes once more, a
      tenth of the project later.
    - `sitting`: rankings that a labeler makes on a working day. All begin on the first
      one and go through the prompts by their number.
    - `days_per_version`: working days between new versions of the instructions.
    """

    prompts: int
    labelers: tuple[Labeler, ...]
    overlap: int | None = None
    ks: tuple[int, ...] = (4,)
    contrasts: tuple[float, ...] = (1.0,)
    tags: Mapping[str, float] = field(default_factory=dict)
    repeat_share: float = 0.0
    sitting: int = 40
    days_per_version: int | None = None
    first_day: np.datetime64 = MONDAY


@dataclass(frozen=True, eq=False)
class Simulation:
    """Prompts `(P, …)` with what is true of them, and rankings `(n, …)` of them.

    Prompts with fewer responses than others are padded on the right: worth NaN,
    lengths and positions -1, ranks 0. Rankings are sorted by labeler and time.
    """

    setting: Setting
    k: IntArray  # (P,)
    contrast: FloatArray  # (P,)
    worth: FloatArray  # (P, K): the truth; higher is better
    lengths: IntArray  # (P, K) characters
    tags: list[list[str]]  # P lists
    prompt: IntArray  # (n,)
    labeler: IntArray  # (n,), places in `setting.labelers`
    repeat: IntArray  # (n,): 0 for work, 1 for the second time
    ranks: IntArray  # (n, K): 1 is best, dense
    positions: IntArray  # (n, K): 0 was shown first
    seconds: FloatArray  # (n,)
    submitted_at: Times  # (n,) UTC
    sitting_place: IntArray  # (n,): 0 for the first ranking of a sitting
    version: IntArray  # (n,) of the instructions

    @property
    def names(self) -> list[str]:
        """The labelers', as `labeler` counts them."""
        return [labeler.name for labeler in self.setting.labelers]

    def tables(self) -> list[RankTable]:
        """What the agreement report takes; clusters are the prompts' numbers."""
        weeks = iso_weeks(self.submitted_at)
        k = self.k[self.prompt]
        return [
            RankTable(
                ranks=self.ranks[rows, :size],
                cluster=self.prompt[rows],
                labeler=self.labeler[rows],
                repeat=self.repeat[rows],
                version=self.version[rows],
                week=weeks[rows],
                seconds=self.seconds[rows],
                positions=self.positions[rows, :size],
                lengths=self.lengths[self.prompt[rows], :size],
            )
            for size in np.unique(k).tolist()
            for rows in [k == size]
        ]

    def prompts_by_tag(self) -> dict[str, list[int]]:
        """The tags as the agreement report takes them."""
        return by_tag(dict(enumerate(self.tags)))

    def rows(self) -> list[Ranked]:
        """The same rankings one by one, responses called r1, r2, …"""
        weeks = iso_weeks(self.submitted_at)
        return [self._row(number, int(weeks[number])) for number in range(len(weeks))]

    def _row(self, number: int, week: int) -> Ranked:
        prompt = int(self.prompt[number])
        size = int(self.k[prompt])
        ids = response_ids(size)
        order = np.argsort(self.positions[number, :size])
        return Ranked(
            labeler=self.names[self.labeler[number]],
            prompt=prompt,
            ranks=dict(zip(ids, self.ranks[number].tolist(), strict=False)),
            repeat=int(self.repeat[number]),
            version=int(self.version[number]),
            week=week,
            seconds=float(self.seconds[number]),
            shown=tuple(ids[place] for place in order),
            lengths=dict(zip(ids, self.lengths[prompt].tolist(), strict=False)),
        )


def response_ids(k: int) -> list[str]:
    """r1 … r9: sorted as they are numbered."""
    return [f"r{place}" for place in range(1, k + 1)]


def noise_for(agreement: float) -> float:
    """The noise with which two labelers agree so often, ½ < agreement ≤ 1: the inverse
    of `expected_agreement` for two that are alike and a contrast of 1."""
    return sqrt(max(0.0, 1 / sin(pi * (agreement - 0.5)) - 1))


def expected_agreement(one: Labeler, other: Labeler, *, contrast: float = 1.0) -> float:
    """How often two labelers without ties, biases and carelessness order a pair alike.

    The differences that they perceive are jointly normal with correlation
    r = c² / √((c² + s²)(c² + t²)), s and t being their noise and c the contrast; both
    have the same sign with probability ½ + arcsin(r) / π (Sheppard, Philosophical
    Transactions A 192, 1899).
    """
    c, s, t = contrast**2, one.noise**2, other.noise**2
    return 0.5 + asin(c / sqrt((c + s) * (c + t))) / pi


def simulate(setting: Setting, *, seed: int = 0) -> Simulation:
    """Prompts, and all rankings of them; the same for the same seed."""
    rng = np.random.default_rng(seed)
    k = rng.choice(setting.ks, setting.prompts)
    real = np.arange(max(setting.ks)) < k[:, None]  # (P, K)
    worth, z = rng.normal(size=(2, *real.shape))
    words = np.maximum(1, np.exp(4.4 + 0.6 * z)).astype(np.int64)
    contrast = rng.choice(setting.contrasts, setting.prompts)
    tagged = {tag: rng.random(setting.prompts) < s for tag, s in setting.tags.items()}
    prompt, labeler, repeat = _who_ranks_what(setting, rng)
    turn = _turns(labeler)
    days, place = np.divmod(turn, setting.sitting)
    positions = _shown(real[prompt], rng)
    perceived = _perceived(
        _Habits.of(setting.labelers, labeler),
        signal=contrast[prompt, None] * worth[prompt],
        pull=(positions / (k[prompt, None] - 1), z[prompt]),
        time=(place, days // WORKDAYS),
        rng=rng,
    )
    seconds = _seconds(setting, labeler, np.where(real, words, 0).sum(1)[prompt], rng)
    return Simulation(
        setting=setting,
        k=k,
        contrast=contrast,
        worth=np.where(real, worth, np.nan),
        lengths=np.where(real, CHARACTERS_PER_WORD * words, -1),
        tags=[[t for t in tagged if tagged[t][p]] for p in range(setting.prompts)],
        prompt=prompt,
        labeler=labeler,
        repeat=repeat,
        ranks=_tiers(perceived, real[prompt]),
        positions=positions,
        seconds=seconds,
        submitted_at=_moments(setting, days, place, seconds),
        sitting_place=place,
        version=1 + days // (setting.days_per_version or len(days) + 1),
    )


def _who_ranks_what(
    setting: Setting, rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Prompt, labeler and repeat of each ranking, by labeler and in their order."""
    overlap = setting.overlap or len(setting.labelers)
    drawn = rng.random((setting.prompts, len(setting.labelers)))
    labeler = np.argsort(drawn, axis=1)[:, :overlap].ravel()
    prompt = np.repeat(np.arange(setting.prompts), overlap)
    again = np.flatnonzero(rng.random(len(prompt)) < setting.repeat_share)
    rows = np.concatenate([np.arange(len(prompt)), again])
    repeat = np.zeros(len(rows), np.int64)
    repeat[len(prompt) :] = 1
    comes = prompt[rows] + repeat * setting.prompts / 10
    order = np.lexsort([repeat, comes, labeler[rows]])
    return prompt[rows][order], labeler[rows][order], repeat[order]


def _turns(sorted_labelers: IntArray) -> IntArray:
    """0, 1, 2 … for the rankings of each labeler."""
    new = np.diff(sorted_labelers, prepend=-1) != 0
    turns: IntArray = np.arange(len(new)) - np.flatnonzero(new)[np.cumsum(new) - 1]
    return turns


def _shown(real: NDArray[np.bool_], rng: np.random.Generator) -> IntArray:
    """A place on the page for each response, `(n, K)`: a random order; -1 for none."""
    order = np.argsort(np.where(real, rng.random(real.shape), 2.0), axis=1)
    places: IntArray = np.where(real, np.argsort(order, axis=1), -1)
    return places


@dataclass(frozen=True, eq=False)
class _Habits:
    """The labelers' habits, a row `(n, 1)` for each ranking."""

    noise: FloatArray
    tie_width: FloatArray
    position_bias: FloatArray
    length_bias: FloatArray
    careless: FloatArray
    tiring: FloatArray
    drift: FloatArray

    @classmethod
    def of(cls, labelers: tuple[Labeler, ...], labeler: IntArray) -> "_Habits":
        def column(name: str) -> FloatArray:
            values = np.array([getattr(one, name) for one in labelers], np.float64)
            return values[labeler][:, None]

        return cls(*map(column, cls.__dataclass_fields__))


def _perceived(
    habits: _Habits,
    *,
    signal: FloatArray,
    pull: tuple[FloatArray, FloatArray],
    time: tuple[IntArray, IntArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """What each labeler sees, `(n, K)`, and how near a tie is, `(n, 1)`."""
    place, z = pull
    sitting_place, week = (column[:, None] for column in time)
    noise = habits.noise + habits.tiring * sitting_place + habits.drift * week
    seen = (
        signal
        + noise * rng.normal(size=signal.shape)
        + habits.position_bias * (0.5 - place)
        + habits.length_bias * z
    )
    careless = rng.random((len(signal), 1)) < habits.careless
    anything = rng.normal(size=signal.shape)
    width = np.where(careless, 0.0, habits.tie_width)
    return np.where(careless, anything, seen), width


def _tiers(
    perceived: tuple[FloatArray, FloatArray], real: NDArray[np.bool_]
) -> IntArray:
    """Dense ranks `(n, K)`, best first; 0 where there is no response."""
    seen, width = perceived
    order = np.argsort(np.where(real, -seen, np.inf), axis=1)
    ordered = np.take_along_axis(seen, order, axis=1)
    tiers = np.ones(real.shape, np.int64)
    tiers[:, 1:] += np.cumsum(ordered[:, :-1] - ordered[:, 1:] > width, axis=1)
    ranks = np.empty_like(tiers)
    np.put_along_axis(ranks, order, tiers, axis=1)
    return np.where(real, ranks, 0)


def _seconds(
    setting: Setting, labeler: IntArray, words: IntArray, rng: np.random.Generator
) -> FloatArray:
    pace = np.array([one.seconds_per_word for one in setting.labelers])
    return pace[labeler] * words * rng.lognormal(0, 0.3, len(words))


def _moments(
    setting: Setting, days: IntArray, place: IntArray, seconds: FloatArray
) -> Times:
    """When each ranking was submitted: one after the other from nine o'clock."""
    weeks, weekday = np.divmod(days, WORKDAYS)
    spent: FloatArray = np.cumsum(seconds)
    before = np.maximum.accumulate(np.where(place == 0, spent - seconds, 0))
    morning = setting.first_day + (7 * weeks + weekday).astype("timedelta64[D]")
    moments: Times = morning + (spent - before).astype("timedelta64[s]")
    return moments
