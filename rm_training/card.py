"""The model card that lies beside the weights. PURE."""

from collections.abc import Mapping
from typing import Any


def model_card(meta: Mapping[str, Any]) -> str:
    """README.md of a reward model, from its meta.json."""
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

| what | value |
|---|---|
| held-out accuracy, valid1 (selected on) | {_accuracy(meta["metrics"]["valid1"])} |
| held-out accuracy, valid2 (reported once) | {_accuracy(meta["metrics"]["valid2"])} |
| loss | {config["loss"]}, ties: {config["ties"]}, centring {config["centering"]} |
| steps | {meta["metrics"]["steps"]}, kept those of {meta["metrics"]["best_step"]} |
| learning rate, prompts a step, seed | {config["lr"]}, {config["prompts_per_step"]}, \
{config["seed"]} |
| data | {data["prompts"]} prompts, {data["rankings"]} rankings, SHA-256 \
`{data["sha256"]}` |
| base weights | SHA-256 `{meta["base"]["sha256"]}` |
| chat template | {meta["template"]["name"]}, SHA-256 `{meta["template"]["sha256"]}` |
| longest sequence, longest prompt | {encoding["max_length"]}, \
{encoding["max_prompt_tokens"]} tokens |

{_notes(meta["notes"])}## Use

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


def _accuracy(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None or evaluation["counts"]["accuracy"] is None:
        return "undefined (no strictly ordered pair)"
    counts = evaluation["counts"]
    return (
        f"{100 * counts['accuracy']:.1f} % of {counts['n']} pairs "
        f"({evaluation['prompts']} prompts)"
    )


def _notes(notes: list[str]) -> str:
    if not notes:
        return ""
    return "Notes:\n" + "".join(f"- {note}\n" for note in notes) + "\n"
