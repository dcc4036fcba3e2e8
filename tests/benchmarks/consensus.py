"""What an exact consensus of nine responses costs, beside doing without the exactness.

CPU time of this process, without a database. Two projects' worth of prompts: labelers
as people are (simulated, five a prompt), and labelers who rank at random, whose
majorities run in circles, so that nothing can be taken apart before the search. Beside
it choix' Bradley-Terry of the same prompts, one after the other as its interface wants
it, and at K = 6 a search through all 4,683 weak orders, vectorised likewise.
"""

import time
from collections.abc import Callable
from typing import Final

import choix
import numpy as np

from ranking.consensus import PairCounts, ballots, pair_counts
from ranking.consensus_kemeny import kemeny
from ranking.consensus_scores import PENALTY
from ranking.rank_table import FloatArray, IntArray, RankTable
from tests.benchmarks.figures import Figure
from tests.ranking.electorates import weak_orders
from tests.simulated_labelers import Labeler, Setting, simulate

NAME: Final = "consensus"
PROMPTS, ROUNDS = 1_000, 5
K, SMALL_K, OVERLAP = 9, 6, 5
BESIDE_CHOIX, BESIDE_ALL = 20, 20  # prompts: these take longer
MOST_TIMES_CHOIX: Final = 0.1
MOST_OF_ALL_ORDERS: Final = 0.5


def measure(prompts: int = PROMPTS, rounds: int = ROUNDS) -> list[Figure]:
    """The figures, each a median of so many rounds."""
    people, chance = as_people_rank(prompts, K), at_random(prompts, K)
    few, small = _first(people, BESIDE_CHOIX), at_random(BESIDE_ALL, SMALL_K)
    orders = np.array(list(weak_orders(SMALL_K)))
    costs: dict[str, list[float]] = {}
    kemeny(people)  # what is made once by a process is not counted
    for _ in range(rounds):
        for what, counts, act in (
            ("people", people, kemeny),
            ("chance", chance, kemeny),
            ("choix", few, bradley_terry_by_choix),
            ("small", small, kemeny),
            ("all", small, lambda some: distances(some, orders).min(axis=1)),
        ):
            costs.setdefault(what, []).append(_cost(act, counts))
    return [
        _milliseconds("Kemeny of a prompt, people", costs["people"]),
        _milliseconds("Kemeny of a prompt, at random", costs["chance"]),
        _times("Kemeny : choix, people", costs, "people", "choix", MOST_TIMES_CHOIX),
        _times(
            "Kemeny : all weak orders, K = 6", costs, "small", "all", MOST_OF_ALL_ORDERS
        ),
    ]


def as_people_rank(prompts: int, k: int) -> PairCounts:
    """Five of six labelers a prompt, who mostly see what is better, and tie."""
    six = tuple(
        Labeler(name=f"labeler{n}", noise=0.6 + n / 20, tie_width=0.12)
        for n in range(6)
    )
    setting = Setting(prompts=prompts, labelers=six, overlap=OVERLAP, ks=(k,))
    [table] = simulate(setting, seed=5).tables()
    return pair_counts(ballots(table))


def at_random(prompts: int, k: int) -> PairCounts:
    """Five strict rankings a prompt, each order as likely as any other."""
    n = prompts * OVERLAP
    rng = np.random.default_rng(5)
    table = RankTable(
        ranks=rng.permuted(np.tile(np.arange(1, k + 1), (n, 1)), axis=1),
        cluster=np.repeat(np.arange(prompts), OVERLAP),
        labeler=np.tile(np.arange(OVERLAP), prompts),
    )
    return pair_counts(ballots(table))


def distances(counts: PairCounts, orders: IntArray) -> FloatArray:
    """From every set to each weak order `(n, K)`, doubled, `(s, n)`: brute force."""
    k = orders.shape[1]
    signs = np.sign(orders[:, :, None] - orders[:, None, :]).reshape(-1, k * k)
    losses = counts.wins.transpose(0, 2, 1)
    order = (2 * losses + counts.ties).reshape(-1, k * k)
    tie = (counts.wins + losses).reshape(-1, k * k)
    ahead, level = (signs < 0).astype(float), (signs == 0).astype(float)
    found: FloatArray = order @ ahead.T + tie @ level.T / 2
    return found


def bradley_terry_by_choix(counts: PairCounts) -> None:
    """Its strengths of every set; a tie is a win each way."""
    for wins, ties in zip(counts.wins, counts.ties, strict=True):
        won = (2 * wins + ties).astype(int)
        data = [
            (a, b)
            for a, b in zip(*np.nonzero(won), strict=True)
            for _ in range(won[a, b])
        ]
        choix.opt_pairwise(len(won), data, alpha=2 * PENALTY)


def _first(counts: PairCounts, sets: int) -> PairCounts:
    return PairCounts(counts.wins[:sets], counts.ties[:sets])


def _cost(act: Callable[[PairCounts], object], counts: PairCounts) -> float:
    """CPU milliseconds a prompt."""
    started = time.process_time()
    act(counts)
    return (time.process_time() - started) * 1_000 / len(counts.wins)


def _milliseconds(what: str, rounds: list[float]) -> Figure:
    return Figure(benchmark=NAME, what=f"CPU, {what}", rounds=rounds, unit="ms")


def _times(
    what: str, costs: dict[str, list[float]], above: str, below: str, at_most: float
) -> Figure:
    """Round by round, since both sides of a round share its conditions."""
    pairs = zip(costs[above], costs[below], strict=True)
    return Figure(
        benchmark=NAME,
        what=what,
        rounds=[a / b for a, b in pairs],
        unit="times",
        at_most=at_most,
    )
