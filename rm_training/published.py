"""A reward model's directory: written whole or not at all, and read back.

Everything is safetensors or JSON; nothing here can execute what it reads.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rm_training.batch import Rows
from rm_training.checkpoint import CheckpointError, disk_errors
from rm_training.loading import load_classifier, quiet_transformers
from rm_training.manifest import DamagedFolder, publishing
from rm_training.network import moved, rewards_of_rows

META: Final = "meta.json"


def publish(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    papers: Mapping[str, str],
    out: Path,
    check: Callable[[Path], None],
) -> None:
    """Writes the reward model to `out` in one atomic step, or not at all.

    save_pretrained's config, safetensors and tokenizer (with the chat template), plus
    the papers (texts by file name) and manifest.json. `check` is called with the folder
    before it gets its name, and refuses it by raising.

    Raises OutputRefused; CheckpointError where the disk refuses.
    """
    with disk_errors(out), publishing(out) as folder:
        with quiet_transformers():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        for name, text in papers.items():
            (folder / name).write_text(text)
        check(folder)


@torch.no_grad()
def check_reload(model: PreTrainedModel, rows: Rows, folder: Path) -> None:
    """What transformers reads back from `folder` scores the rows as `model`, to 1e-5.

    Through its own forward, which looks for padding where we know the lengths. Raises
    CheckpointError.
    """
    rows = rows.to(model.device)
    ours = rewards_of_rows(model, rows)  # (R,)
    reloaded, missing = load_classifier(str(folder))
    logits = moved(reloaded, model.device)(
        input_ids=rows.input_ids, attention_mask=rows.attention_mask
    ).logits  # (R, 1)
    theirs = logits.squeeze(-1)
    if missing or not torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5):
        raise CheckpointError(
            f"the model read back from disk scores {theirs.tolist()} where the trained "
            f"one scores {ours.tolist()}; nothing was published"
        )


def read_meta(folder: Path) -> dict[str, Any]:
    """meta.json of a published model. Raises DamagedFolder."""
    try:
        meta = json.loads((folder / META).read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedFolder(f"{folder}: {META} cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise DamagedFolder(f"{folder}: {META} is no JSON object")
    return meta
