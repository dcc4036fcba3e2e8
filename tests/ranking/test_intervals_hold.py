"""Do the 95 % intervals of `strict` hold the truth in about 95 of 100 projects?

Forty simulated projects, against the closed form. `make chaos` has five times as many,
labelers who tie, and the other numbers: `tests/chaos/test_interval_coverage.py`.
"""

from ranking.agreement import headline
from tests.simulated_labelers import (
    Labeler,
    Setting,
    expected_agreement,
    noise_for,
    simulate,
)

PROJECTS, PROMPTS = 40, 100
AGREEMENTS = (0.55, 0.65, 0.75, 0.85, 0.95)


def interval_of(agreement: float, seed: int) -> list[float]:
    """As the report gives it for three labelers who agree so often."""
    noise = noise_for(agreement)
    three = tuple(Labeler(name=name, noise=noise) for name in ("ann", "ben", "cy"))
    simulation = simulate(Setting(prompts=PROMPTS, labelers=three), seed=seed)
    report = headline(simulation.tables(), labelers=simulation.names)
    interval: list[float] = report["strict"]["ci"]
    return interval


def test_the_interval_holds_the_closed_form() -> None:
    held = held_by_half = 0
    for number in range(PROJECTS):
        agreement = AGREEMENTS[number % len(AGREEMENTS)]
        labeler = Labeler(name="any", noise=noise_for(agreement))
        true = expected_agreement(labeler, labeler)
        low, high = interval_of(agreement, seed=1_000 + number)
        held += low <= true <= high
        # What is tested can fail: an interval half as wide holds it far less often.
        held_by_half += (3 * low + high) / 4 <= true <= (low + 3 * high) / 4
    assert held >= 35
    assert held_by_half < 33
