"""The dataset card: README.md of an export folder. PURE.

Its front matter is that of Hugging Face's dataset cards, so that `load_dataset(folder)`
finds the data file. Source: Hugging Face Hub documentation, Dataset Cards.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from ranking.export.card_fields import FIELDS, TOGETHER

Words = Mapping[str, Any]

DISAGREEMENT: Final = {
    "each": "Every labeler's ranking stands for itself: where labelers disagree, so do"
    " the rows.",
    "majority": "A pair is there if more than half of the prompt's labelers prefer one"
    " response; who ties it prefers neither. Other pairs are left out.",
    "soft": "A pair has the share of the prompt's labelers who prefer the chosen"
    " response, a tie being half; pairs at exactly a half are left out.",
    "consensus": "Each prompt has one order, the nearest to its labelers' by Kemeny's"
    " rule. Where several orders are nearest, responses on which they differ are tied.",
}
USE: Final = """\
To train and to judge reward models and preference-tuned models. It holds what these
labelers thought of these responses under these instructions: no measure of truth, and
no sample of what people at large prefer. Learn on `train`, choose on `valid1`, report
on `valid2`: a prompt has the same split in every dataset of its project. Labelers are
pseudonyms; do not try to find out who they are. Prompts and responses are quoted as
they were, harmful ones included."""


def card(title: str, manifest: Words) -> str:
    """The card of an export, from its manifest. Deterministic; Markdown."""
    name, kind = manifest["dataset_id"], manifest["kind"]
    [(file, data)] = manifest["files"].items()
    return f"""\
{_front_matter(title, manifest)}
# {name}: {kind}

Human preferences from the project “{_one_line(title)}”, frozen as `{name}`.

{_counts(manifest)}
The file `{file}` holds {data["rows"]} rows, {_split(manifest["split"])} (SHA-256
`{data["sha256"]}`).

Filters: `{json.dumps(manifest["filters"], ensure_ascii=False)}`

## Disagreement: {manifest["disagreement"]}

{DISAGREEMENT[manifest["disagreement"]]}{_left_open(manifest)}

## Intended use

{USE}

## Rows

{_fields(manifest)}
## Read it

{_snippet(manifest, file)}"""


def _front_matter(title: str, manifest: Words) -> str:
    licence = manifest["facts"]["licence"]
    name, kind = manifest["dataset_id"], manifest["kind"]
    [file] = manifest["files"]
    pretty = json.dumps(f"{_one_line(title)} ({name}, {kind})", ensure_ascii=False)
    lines = [
        "---",
        f"pretty_name: {pretty}",
        *([f"license: {json.dumps(licence, ensure_ascii=False)}"] if licence else []),
        "tags:",
        "- human-feedback",
        "- preferences",
        "configs:",
        "- config_name: default",
        f"  data_files: {file}",
        "---",
    ]
    return "\n".join(lines) + "\n"


def _counts(manifest: Words) -> str:
    """A table of what the rows come from."""
    counts, facts, folds = manifest["counts"], manifest["facts"], manifest["folds"]
    rows = {
        "prompts": facts["prompts"],
        "prompts by number of responses": _listed(facts["prompts_by_k"]),
        "prompts by split": _listed(facts["prompts_by_split"]),
        "labelers": facts["labelers"],
        "folds of labelers": f"{folds['count']}, in manifest.json: hold one out",
        "rankings": facts["rankings"],
        "agreement": _agreement(facts["agreement"]),
        "tied pairs": _share(facts["tie_rate"]),
        "strict pairs of the whole dataset": counts["strict_pairs"],
        "tied pairs of the whole dataset": counts["ties_dropped"],
        "prompts left out, like prompts of two splits": _left_out(counts),
        "licence": _one_line(facts["licence"]) or "none is named",
    }
    lines = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return f"| | |\n|---|---|\n{lines}"


def _left_out(counts: Words) -> str:
    """Datasets that were frozen before they were counted do not know."""
    return str(counts.get("prompts_left_out", "not known"))


def _agreement(found: Words) -> str:
    if found["value"] is None:
        return "not known: no two labelers ordered the same pair strictly"
    return (
        f"{_share(found)} of {found['comparable']} orderings of a pair by two labelers,"
        " ties apart"
    )


def _share(found: Words) -> str:
    """`91.5 % (86.8 to 95.8)`, the interval being of 95 %."""
    if found["value"] is None:
        return "not known"
    share = f"{100 * found['value']:.1f} %"
    if found["ci"] is None:
        return share
    low, high = found["ci"]
    return f"{share} ({100 * low:.1f} to {100 * high:.1f})"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"


def _split(split: str) -> str:
    return "all splits" if split == "all" else f"the split `{split}` alone"


def _left_open(manifest: Words) -> str:
    left_open = manifest["pairs_left_open"]
    if manifest["disagreement"] == "each":
        return ""
    return f" Pairs of responses that labelers leave open: {left_open}."


def _fields(manifest: Words) -> str:
    told = FIELDS[manifest["kind"]]
    return told if manifest["disagreement"] == "each" else f"{told}\n{TOGETHER}"


def _snippet(manifest: Words, file: str) -> str:
    if manifest["format"] == "json":
        return f"""\
```python
import json

records = json.load(open("{file}"))
```
"""
    return """\
```python
from datasets import load_dataset

rows = load_dataset(".", split="train")  # this folder; one file, whatever its splits
train = rows.filter(lambda row: row["split"] == "train")
```
"""


def _one_line(text: str) -> str:
    return " ".join(text.split())
