import numpy as np
import pytest

from ranking import bootstrap
from ranking.bootstrap import (
    DRAWS,
    SEED,
    PromptCounts,
    bootstrap_totals,
    counts_by_group,
    percentile_interval,
    prompt_counts,
)


def weights(n_prompts: int, draws: int) -> np.ndarray:
    """How often each prompt is drawn, straight from the definition."""
    rng = np.random.default_rng(SEED)
    drawn = [
        rng.integers(0, n_prompts, n_prompts, np.uint32).tolist() for _ in range(draws)
    ]
    return np.array([[d.count(p) for d in drawn] for p in range(n_prompts)])


def some_questions(n_prompts: int) -> dict[str, PromptCounts]:
    everyone, few = np.arange(n_prompts), np.array([1, n_prompts - 2])
    counts = np.random.default_rng(7).integers(0, 9, (3, n_prompts)).astype(np.float64)
    return {
        "everyone": PromptCounts(everyone, counts),
        "most": PromptCounts(everyone[2:], counts[:1, 2:]),
        "few": PromptCounts(few, np.array([[2.0, 5.0], [1.0, 0.0]])),
        "nobody": PromptCounts(everyone[:0], np.zeros((2, 0))),
    }


def test_totals_are_the_counts_of_the_drawn_prompts() -> None:
    questions = some_questions(11)
    totals = bootstrap_totals(questions, n_prompts=11, draws=40)
    drawn = weights(11, 40)
    for key, question in questions.items():
        expected = question.counts @ drawn[question.prompts]
        np.testing.assert_array_equal(totals[key], expected)


def test_every_draw_takes_as_many_prompts_as_there_are() -> None:
    one_each = PromptCounts(np.arange(50), np.ones((1, 50)))
    totals = bootstrap_totals({"n": one_each}, n_prompts=50)
    assert totals["n"].shape == (1, DRAWS)
    assert (totals["n"] == 50).all()


@pytest.mark.parametrize("at_once", [1, 100, 10**9])
def test_the_size_of_a_block_changes_nothing(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bootstrap_totals(some_questions(9), n_prompts=9, draws=30)
    monkeypatch.setattr(bootstrap, "_WEIGHTS_AT_ONCE", at_once)
    found = bootstrap_totals(some_questions(9), n_prompts=9, draws=30)
    for key, totals in expected.items():
        np.testing.assert_array_equal(found[key], totals)


def test_asking_more_questions_does_not_change_the_draws() -> None:
    questions = some_questions(9)
    alone = bootstrap_totals({"few": questions["few"]}, n_prompts=9)
    together = bootstrap_totals(questions, n_prompts=9)
    np.testing.assert_array_equal(alone["few"], together["few"])


def test_without_prompts_every_total_is_zero() -> None:
    nothing = PromptCounts(np.zeros(0, int), np.zeros((2, 0)))
    totals = bootstrap_totals({"nothing": nothing}, n_prompts=0, draws=5)
    np.testing.assert_array_equal(totals["nothing"], np.zeros((2, 5)))


def test_counts_are_summed_per_prompt_and_per_group() -> None:
    group, prompt = np.array([5, 5, 2, 5]), np.array([3, 0, 3, 3])
    counts = counts_by_group(group, prompt, np.array([1, 2, 4, 8]))
    assert list(counts) == [2, 5]
    assert counts[2].prompts.tolist() == [3]
    assert counts[2].counts.tolist() == [[4]]
    assert counts[5].prompts.tolist() == [0, 3]
    assert counts[5].counts.tolist() == [[2, 9]]
    assert prompt_counts(prompt, np.array([1, 2, 4, 8])).counts.tolist() == [[2, 13]]


def test_the_interval_holds_the_middle_95_percent_of_the_defined_draws() -> None:
    values = np.concatenate([np.arange(1001.0), [np.nan, np.nan]])
    assert percentile_interval(values) == pytest.approx([25.0, 975.0])
    assert percentile_interval(np.full(3, np.nan)) is None


def test_the_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    # Share of ones among 400 prompts, half of them ones: ± 1.96 · √(.25 / 400).
    ones = np.arange(400) % 2
    question = PromptCounts(np.arange(400), np.array([ones, np.ones(400)]) * 1.0)
    ones_drawn, drawn = bootstrap_totals({"q": question}, n_prompts=400)["q"]
    low, high = percentile_interval(ones_drawn / drawn) or [0, 0]
    assert (high - low) / 2 == pytest.approx(1.96 * 0.025, rel=0.06)
    assert (high + low) / 2 == pytest.approx(0.5, abs=0.005)
