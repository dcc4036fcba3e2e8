"""The papers of a reward model: what it was made of and what it is worth."""

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

from rm_training.card import model_card
from rm_training.checkpoint import Progress
from rm_training.encoding import PINNED_DATE
from rm_training.evaluation.stored import EVALUATION
from rm_training.listener import Evaluation
from rm_training.preparation import PreparedRun
from rm_training.published import META

SCHEMA_VERSION = 1
LOG = "training_log.jsonl"


def papers_of(
    meta: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    log: Iterable[Mapping[str, Any]],
) -> dict[str, str]:
    """Files that lie beside the weights, by name; equal runs give equal bytes."""
    return {
        LOG: "".join(json.dumps(entry) + "\n" for entry in log),
        META: json.dumps(meta, indent=2, sort_keys=True) + "\n",
        EVALUATION: json.dumps(evaluation, indent=1, allow_nan=False) + "\n",
        "README.md": model_card(meta, evaluation),
    }


def meta_of(
    run: PreparedRun,
    *,
    progress: Progress,
    valid2: Evaluation | None,
    bias: dict[str, Any] | None,
) -> dict[str, Any]:
    """Everything but the weights, as JSON. No times, so equal runs give equal bytes.

    `bias` is the zero point: null, or {"value", "reference", "sha256"}; a normalised
    reward is the reward minus its value.
    """
    template, limits = run.encoder.template, run.encoder.limits
    return {
        "schema_version": SCHEMA_VERSION,
        "base": {
            "name": _name_of(run.base),
            "sha256": run.identity["base"],
            "tokenizer_sha256": run.identity["tokenizer"],
        },
        "data": {
            "sha256": run.identity["data"],
            "prompts": run.report.prompts,
            "rankings": run.rankings,
            # Prompts in use; `notes` says what was left out and why.
            "train": len(run.train),
            "valid1": len(run.valid1),
            "valid2": len(run.valid2),
        },
        "config": run.config.to_dict() | {"reference": bias and bias["reference"]},
        "seed": run.config.seed,
        "processes": run.processes.count,
        "template": {
            "name": template.name,
            "sha256": template.sha256,
            "text": template.text,
            "pinned_date": PINNED_DATE.date().isoformat(),
        },
        "encoding": {
            "max_length": limits.max_length,
            "max_prompt_tokens": limits.max_prompt_tokens,
            "eos_token_id": run.tokenizer.eos_token_id,
            "pad_token_id": run.tokenizer.pad_token_id,
            "report": asdict(run.report),
        },
        "metrics": {
            "steps": progress.step,
            "best_step": progress.best.step if progress.best else progress.step,
            "training_tokens": progress.tokens,
            "valid1": progress.best and progress.best.to_dict(),
            "valid2": valid2 and valid2.to_dict(),
        },
        "notes": list(run.notes),
        "bias": bias,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
    }


def _name_of(base: str) -> str:
    # A hub id as it is; of a directory only its name, since a model travels and the
    # paths of the machine that made it mean nothing elsewhere.
    return Path(base).resolve().name if Path(base).is_dir() else base
