"""The dataset card: README.md of an export folder. PURE."""

import json
from collections.abc import Mapping
from typing import Any, Final

FIELDS: Final = {
    "rankings": """\
One row a ranking: a labeler's weak order over all responses of a prompt.

| field | meaning |
|---|---|
| `prompt_id`, `prompt` | the prompt's id, and its messages |
| `responses` | `{id, text, model}` each, sorted by id |
| `ranks` | aligned with `responses`; 1 is best, equal is a tie, no gaps |
| `labeler` | pseudonym, the same in every dataset of this project only |
| `ranking_id` | the ranking's own id, the same in every export |
| `display_order` | indices into `responses`, first shown first; null: imported |
| `instructions_version` | what the labeler was told; null: imported |
| `seconds` | active time; null: not known |
| `submitted_at` | UTC |
| `split` | train, valid1 (choose on it) or valid2 (report on it); fixed for a prompt |
| `status`, `pool` | whether it counted, and how the prompt was chosen |
| `tags` | of the prompt |
| `ratings` | 1 to 7, 7 is best; aligned with `responses`, null: not rated |
| `flags` | what the labeler ticked; aligned with `responses`, empty: none at all |
| `note` | what the labeler wrote to it |
""",
    "pairs": """\
One row a strict pair: one response that a labeler ranked above another. Ties give no
row. Pairs of one ranking stand together. TRL's RewardTrainer and DPOTrainer read the
file as it is.

| field | meaning |
|---|---|
| `prompt`, `chosen`, `rejected` | messages |
| `prompt_id`, `ranking_id`, `labeler` | where the pair comes from; the labeler by \
pseudonym |
| `chosen_id`, `rejected_id` | ids of the two responses |
| `rank_gap` | difference of their ranks, without gaps |
| `weight` | 1 / strict pairs of that ranking: every ranking weighs 1 |
| `prompt_weight` | `weight` / rankings of the prompt that have a strict pair: every \
prompt weighs 1 |
| `split` | train, valid1 (choose on it) or valid2 (report on it); fixed for a prompt |

Pairs of one ranking are not independent: a K = 9 ranking gives up to 36. Use a weight,
and never split pairs of one prompt between training and test.
""",
}


def card(title: str, manifest: Mapping[str, Any]) -> str:
    """The card of an export, from its manifest. Deterministic; Markdown."""
    name, kind, counts = manifest["dataset_id"], manifest["kind"], manifest["counts"]
    [(file, facts)] = manifest["files"].items()
    return f"""\
---
pretty_name: {json.dumps(f"{title} ({name}, {kind})", ensure_ascii=False)}
configs:
- config_name: default
  data_files: {file}
---

# {name}: {kind}

Human preferences from the project “{_one_line(title)}”, frozen as `{name}`.

| | |
|---|---|
| prompts | {counts["prompts"]} |
| labelers | {counts["labelers"]} |
| rankings | {counts["rankings"]} |
| strict pairs | {counts["strict_pairs"]} |
| tied pairs, left out of pairs | {counts["ties_dropped"]} |

These are the counts of the whole dataset. This folder holds the split
`{manifest["split"]}`: {facts["rows"]} rows in `{file}` (SHA-256
`{facts["sha256"]}`).

Filters: `{json.dumps(manifest["filters"], ensure_ascii=False)}`

## Rows

{FIELDS[kind]}
## Read it

```python
from datasets import load_dataset

rows = load_dataset("json", data_files="{file}", split="train")
```
"""


def _one_line(text: str) -> str:
    return " ".join(text.split())
