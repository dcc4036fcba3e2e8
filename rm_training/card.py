"""The model card that lies beside the weights. PURE."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rm_training.evaluation.words import (
    caution,
    counted,
    figure,
    interval,
    percent,
    said,
)

Document = Mapping[str, Any]

NAMES: Final = {
    "valid1": "valid1 (selected on)",
    "valid2": "valid2 (reported once)",
}


def model_card(meta: Document, evaluation: Document) -> str:
    """README.md of a reward model, from its meta.json and its evaluation.json."""
    config, data, encoding = meta["config"], meta["data"], meta["encoding"]
    return f"""\
---
library_name: transformers
pipeline_tag: text-classification
tags: [reward-model, rankwell]
---
# Reward model

Trunk of `{meta["base"]["name"]}` with a scalar head, trained on rankings by people.
The reward of a response is the raw logit at its last token (the EOS). Only differences
between responses to the same prompt mean something.

## Intended use

To order responses to one prompt, or to give rewards to a policy that is being trained,
for prompts like those that people ranked here. It is no judge of a single response,
no measure of truth or harm, and no substitute for asking people about a new kind of
prompt.

## Data and training

| what | value |
|---|---|
| data | {data["prompts"]} prompts, {data["rankings"]} rankings, SHA-256 \
`{data["sha256"]}` |
| prompts in use | {data["train"]} train, {data["valid1"]} valid1, {data["valid2"]} \
valid2 |
| loss | {config["loss"]}, ties: {config["ties"]}, centring {config["centering"]} |
| steps | {meta["metrics"]["steps"]}, kept those of {meta["metrics"]["best_step"]} |
| learning rate, prompts a step, seed | {config["lr"]}, {config["prompts_per_step"]}, \
{config["seed"]} |
| base weights | SHA-256 `{meta["base"]["sha256"]}` |
| chat template | {meta["template"]["name"]}, SHA-256 `{meta["template"]["sha256"]}` |
| longest sequence, longest prompt | {encoding["max_length"]}, \
{encoding["max_prompt_tokens"]} tokens |

{_notes(meta["notes"])}## What it is worth

Held-out prompts; 95 % intervals by a bootstrap over prompts. `evaluation.json` has
every number.

{_numbers(evaluation)}
{_limits(evaluation)}
## Use

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
```

A sequence is the rendered prompt (generation prompt included), the response, and one
EOS; prompt and response are tokenised separately. Pad on the right with the tokenizer's
pad token. Servers that apply a sigmoid to classifiers must be told not to (vLLM:
`use_activation=False`). `meta.json` records the configuration, the template's text and
the hashes; `manifest.json` the SHA-256 of each file.
"""


def _numbers(evaluation: Document) -> str:
    """A table with a column for each split."""
    splits = evaluation["splits"]
    if not splits:
        return "No prompt was held out: accuracy and all that follows is undefined.\n"
    head = " | ".join(NAMES.get(name, name) for name in splits)
    rows = [f"| what | {head} |", "|---" * (len(splits) + 1) + "|"]
    for label, read in ROWS.items():
        cells = " | ".join(read(split) for split in splits.values())
        rows.append(f"| {label} | {cells} |")
    return "\n".join(rows) + "\n"


ROWS: Final[Mapping[str, Callable[[Document], str]]] = {
    "held-out accuracy": lambda split: (
        f"{said(split['accuracy']['pair_mean'], percent)} of "
        f"{split['size']['strict_pairs']} pairs ({split['size']['prompts']} prompts)"
    ),
    "the same, prompt by prompt": lambda split: said(
        split["accuracy"]["prompt_mean"], percent
    ),
    "people with each other (strict)": lambda split: said(
        split["labelers"]["agreement"], percent
    ),
    "best that any model can reach": lambda split: _ceiling(split["labelers"]),
    "mean -log sigmoid(Δ), chance 0.693": lambda split: said(
        split["accuracy"]["nll"], figure
    ),
    "calibration error (ECE)": lambda split: said(split["calibration"]["ece"], figure),
    "Brier score, chance 0.250": lambda split: said(
        split["calibration"]["brier"], figure
    ),
    "best of K is the labeler's best": lambda split: said(
        split["within_prompt"]["top_1"], percent
    ),
    "prefers the longer response": lambda split: said(
        split["length"]["model_prefers_longer"], percent
    ),
    "people prefer the longer response": lambda split: said(
        split["length"]["people_prefer_longer"], percent
    ),
    "accuracy were lengths equal": lambda split: said(
        split["length"]["controlled"], percent
    ),
}


def _ceiling(labelers: Document) -> str:
    ceiling = labelers["ceiling"]
    if ceiling["low"] is None:
        return f"undefined ({ceiling['why']})"
    return interval([ceiling["low"], ceiling["high"]], percent)


def _limits(evaluation: Document) -> str:
    """What the numbers themselves warn of, beside what holds for every such model."""
    lines = [
        "Rewards of different prompts are not comparable.",
        "Numbers hold for prompts and labelers like those of the data.",
        "A policy that is trained against it will find what it overrates: watch "
        "people's judgement, not the reward.",
        *_warnings(evaluation),
    ]
    temperature = evaluation["temperature"]
    if temperature["value"] is not None:
        lines.append(
            "For probabilities, divide differences of rewards by the temperature "
            f"{said(temperature, figure)}, fitted on valid1."
        )
    return "## Limits\n\n" + "".join(f"- {line}\n" for line in lines)


def _warnings(evaluation: Document) -> list[str]:
    lines = [
        f"Too long for the model, in no pair: {counted(count, 'response')} of {name}."
        for name, count in evaluation["left_out"].items()
        if count
    ]
    lines += [
        f"{caution(split['size']['prompts'])} ({name})"
        for name, split in evaluation["splits"].items()
        if caution(split["size"]["prompts"])
    ]
    lines += [
        f"Rewards change by {check['largest']:.2g} with {check['check']} "
        f"(tolerance {check['tolerance']:.2g})."
        for check in evaluation["invariances"]
        if not check["passed"]
    ]
    for name, split in evaluation["splits"].items():
        shorter = split["length"]["winner_shorter"]
        if shorter["ci"] and shorter["ci"][1] < 0.5:
            lines.append(
                f"Where people prefer the shorter response it is mostly wrong ({name}: "
                f"{said(shorter, percent)})."
            )
    return lines


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return "Notes:\n" + "".join(f"- {note}\n" for note in notes) + "\n"
