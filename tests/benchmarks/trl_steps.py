"""Steps of TRL's RewardTrainer, for a process of TRL's own environment.

Usage: PYTHON trl_steps.py MODEL. It imports nothing of ours. One request a line, as
`training` writes them; every step is one batch of all pairs of its prompts, by our own
order and not at random, with what TRL computes and logs itself.
"""

import json
import resource
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

torch.set_num_threads(1)


class InOrder(RewardTrainer):
    """As it is, but for the order of the pairs; keeps its losses."""

    losses: list[float]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows: Any = train_dataset or self.train_dataset
        return SequentialSampler(rows)

    def compute_loss(self, *args: Any, **options: Any) -> Any:
        """Its own loss."""
        theirs: Any = super().compute_loss  # it carries no types
        found = theirs(*args, **options)
        self.losses.append(found.item())
        return found


class Clock(TrainerCallback):
    """CPU seconds of each step: forward, backward, clipping and AdamW."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Collating is over."""
        self.began = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The weights have moved."""
        self.seconds.append(time.process_time() - self.began)


def pairs(prompt: dict[str, Any]) -> list[dict[str, list[int]]]:
    """All pairs of a prompt, whose responses come best first."""
    rows = [prompt["prompt"] + response for response in prompt["responses"]]
    return [
        {"chosen_ids": rows[i], "rejected_ids": rows[j]}
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
    ]


def answer(request: dict[str, Any], model: Any, tokenizer: Any) -> dict[str, Any]:
    """Trains on the steps of a request."""
    steps = [[row for one in step for row in pairs(one)] for step in request["steps"]]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=model,
            args=RewardConfig(
                output_dir=folder,
                per_device_train_batch_size=len(steps[0]),
                num_train_epochs=1,
                learning_rate=request["rate"],
                lr_scheduler_type="constant",
                optim="adamw_torch_fused",
                max_length=None,
                bf16=False,
                gradient_checkpointing=False,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_list([row for step in steps for row in step]),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.losses = []
        trainer.train()
    return {"seconds": clock.seconds, "losses": trainer.losses}


def main() -> None:
    """Answers requests until there are none."""
    folder, out = Path(sys.argv[1]), sys.stdout
    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    auto: Any = AutoModelForSequenceClassification
    for line in sys.stdin:
        model = auto.from_pretrained(folder, num_labels=1)
        with redirect_stdout(StringIO()):  # what TRL prints is no answer
            found = answer(json.loads(line), model, tokenizer)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
        print(json.dumps(found | {"peak_mb": peak}), file=out, flush=True)


if __name__ == "__main__":
    main()
