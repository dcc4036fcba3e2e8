"""The report of a reward model, as one JSON document. PURE."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rm_training.evaluation.accuracy import accuracy
from rm_training.evaluation.calibration import calibration, fitted_temperature
from rm_training.evaluation.intervals import METHOD, Clusters, Number, missing
from rm_training.evaluation.judged import JudgedPrompt, Split
from rm_training.evaluation.labelers import labelers
from rm_training.evaluation.length import length_bias
from rm_training.evaluation.within import within_prompt

SCHEMA_VERSION: Final = 1
SELECTION: Final = "valid1"
"""The split that the temperature is fitted on."""
NOT_FITTED: Final = f"no prompt of {SELECTION} was scored"


def report(
    splits: Mapping[str, Sequence[JudgedPrompt]],
    *,
    temperature: Number | None = None,
) -> dict[str, Any]:
    """Every number of the suite for each split that has a prompt.

    The temperature is fitted on valid1 alone, so that its effect on the others is
    measured on data it has not seen. Without valid1 it is the one given, if any.
    """
    found = {name: Split(prompts) for name, prompts in splits.items() if prompts}
    temperature = temperature or missing(NOT_FITTED)
    if SELECTION in found:
        chosen = found[SELECTION]
        temperature = fitted_temperature(chosen, Clusters(len(chosen.prompts)))
    return {
        "schema_version": SCHEMA_VERSION,
        "intervals": METHOD,
        "temperature": {**temperature, "fitted_on": SELECTION},
        "splits": {
            name: _of_split(split, temperature["value"])
            for name, split in found.items()
        },
    }


def _of_split(split: Split, temperature: float | None) -> dict[str, Any]:
    clusters = Clusters(len(split.prompts))
    return {
        "size": {
            "prompts": len(split.prompts),
            "responses": len(split.rewards),
            "rankings": len(split.ranking_prompt),
            "pairs": len(split.pairs),
            "strict_pairs": len(split.strict),
        },
        "accuracy": accuracy(split, clusters),
        "labelers": labelers(split, clusters),
        "calibration": calibration(split, clusters, temperature=temperature),
        "within_prompt": within_prompt(split, clusters),
        "length": length_bias(split, clusters),
    }
