"""What a step of reward-model training costs, beside TRL's RewardTrainer and a loop.

One small model (Llama, width 256, four layers, vocabulary 8,192), one set of random
tokens, fused AdamW in float32, one thread. CPU time of whole steps: forward, backward,
clipping, AdamW. A step has one prompt; where lengths are ragged, four. TRL trains on
all pairs of the prompt, in its own environment (`.venv-peers`); "loop" encodes K
padded rows. All start from the same weights and must report the same loss. They take
turns, round by round, so that each meets the same machine; a short first step, not
counted, makes what is made once.

Memory is the peak of a fresh process over two steps: one step hides the activations
under the optimizer's state. Nothing is measured on a GPU.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.figures import Figure
from tests.benchmarks.peers import peer
from tests.e2e.stack import ROOT

NAME: Final = "training"
REQUIREMENTS: Final = (
    "trl==1.16.0",
    *(f"{name}=={version(name)}" for name in ("transformers", "accelerate")),
    "torch==2.13.0",
)
VOCABULARY: Final = 8_192
RATE: Final = 1e-5
SAME_LOSS: Final = 1e-4
ENVIRONMENT: Final = os.environ | {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_DISABLED": "true",
    "PYTHONWARNINGS": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
}
Prompt = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Lengths in tokens, and how many times faster we have to be."""

    name: str
    k: int
    prompt: int
    response: int | None
    """None: lognormal, median 128, sigma 0.8, from 8 to 1,024."""
    than_trl: float | None = None
    than_loop: float

    def steps(self, seed: int) -> list[list[Prompt]]:
        """A short step, and the one that counts."""
        draw = random.Random(seed)
        prompts = 1 if self.response else 4
        short = [self._prompt(draw, length=4) for _ in range(prompts)]
        return [short, [self._prompt(draw) for _ in range(prompts)]]

    def _prompt(self, draw: random.Random, length: int | None = None) -> Prompt:
        lengths = [length or self.response or ragged(draw) for _ in range(self.k)]
        return {
            "prompt": tokens(draw, length or self.prompt),
            "responses": [tokens(draw, one) for one in lengths],
        }


CASES: Final = (
    Case(name="128:128", k=4, prompt=128, response=128, than_trl=3.5, than_loop=1.35),
    Case(name="128:128", k=9, prompt=128, response=128, than_trl=12, than_loop=1.6),
    Case(name="512:64", k=4, prompt=512, response=64, than_trl=8, than_loop=2.5),
    Case(name="64:256", k=4, prompt=64, response=256, than_loop=1.0),
    Case(name="64:256", k=9, prompt=64, response=256, than_loop=1.0),
    Case(name="128:ragged", k=4, prompt=128, response=None, than_loop=2.0),
    Case(name="128:ragged", k=9, prompt=128, response=None, than_loop=2.0),
)
MEMORY: Final = CASES[1]


def ragged(draw: random.Random) -> int:
    """A response's tokens."""
    return min(1_024, max(8, round(draw.lognormvariate(math.log(128), 0.8))))


def tokens(draw: random.Random, n: int) -> list[int]:
    """Any but the first few."""
    return [draw.randrange(5, VOCABULARY) for _ in range(n)]


def measure(cases: Sequence[Case] = CASES, rounds: int = 5) -> list[Figure]:
    """The figures, each a median of so many rounds."""
    python = str(peer("trl", *REQUIREMENTS))
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        trl = [python, str(Path(__file__).with_name("trl_steps.py")), folder]
        ours = [sys.executable, "-m", "tests.benchmarks.reward_steps", folder]
        figures = [*_memory(trl, ours)]
        with worker(trl) as theirs, worker(ours) as own:
            for case in cases:
                figures += _figures(case, theirs, own, rounds)
    return figures


def make_model(folder: Path) -> None:
    """The small model, and a tokenizer for it that is never used."""
    import torch  # noqa: PLC0415  only this benchmark needs it, and it is slow
    from transformers import LlamaConfig, LlamaForSequenceClassification  # noqa: PLC0415

    from rm_training.loading import quiet_transformers  # noqa: PLC0415
    from tests.tiny_model import make_tokenizer  # noqa: PLC0415

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=2_048,
        pad_token_id=0,
    )
    config.num_labels = 1
    classifier: Any = LlamaForSequenceClassification  # it carries no types
    tokenizer = make_tokenizer()
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
    with quiet_transformers():
        classifier(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


class Worker:
    """A process that is sent steps and says what they cost."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def train(self, how: str, steps: list[list[Prompt]]) -> dict[str, Any]:
        """Seconds, losses and peak memory. Errors: RuntimeError when it has died."""
        request = {"how": how, "steps": steps, "rate": RATE}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{how}: the process that trains has died; see above")
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def worker(command: Sequence[str]) -> Iterator[Worker]:
    """A process that trains, until the end of the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT, cwd=ROOT
    ) as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()


def _figures(case: Case, trl: Worker, own: Worker, rounds: int) -> Iterator[Figure]:
    costs: dict[str, list[float]] = {"loop": [], "ours": [], "TRL": []}
    found: dict[str, Any] = {}
    for number in range(rounds):
        steps = case.steps(seed=number)
        for how, seconds in costs.items():
            if how == "TRL" and case.than_trl is None:
                continue
            found[how] = (trl if how == "TRL" else own).train(how, steps)
            seconds.append(found[how]["seconds"][-1])
        _check_losses({how: one["losses"][-1] for how, one in found.items()})
    name = f"{case.name}, K = {case.k}"
    for how, bar in (("TRL", case.than_trl), ("loop", case.than_loop)):
        if costs[how]:
            yield Figure(
                benchmark=NAME,
                what=f"{name}: {how} : ours",
                rounds=[a / b for a, b in zip(costs[how], costs["ours"], strict=True)],
                unit="times",
                at_least=bar,
            )
    pairs = case.k * (case.k - 1) / 2 * len(steps[-1])
    yield Figure(
        benchmark=NAME,
        what=f"{name}: ours, pairs a CPU second",
        rounds=[pairs / seconds for seconds in costs["ours"]],
        unit="pairs/s",
    )
    yield from _positions(name, steps[-1], found["ours"]["positions"][-1])


def _positions(name: str, step: list[Prompt], counted: int) -> Iterator[Figure]:
    """What a hook has counted beside each token once."""
    once = sum(len(one["prompt"]) + sum(map(len, one["responses"])) for one in step)
    yield Figure(
        benchmark=NAME,
        what=f"{name}: positions encoded : each token once",
        rounds=[counted / once],
        unit="times",
        at_most=1.0 if len(step) == 1 else None,  # ragged rows are padded
    )


def _check_losses(losses: dict[str, float]) -> None:
    """All have trained on the same: else the comparison is none."""
    if max(losses.values()) - min(losses.values()) > SAME_LOSS:
        raise RuntimeError(f"the losses differ: {losses}")


def _memory(trl: Sequence[str], ours: Sequence[str]) -> Iterator[Figure]:
    step = MEMORY.steps(seed=0)[1]
    peaks = {}
    for how, command in (("TRL", trl), ("loop", ours), ("ours", ours)):
        with worker(command) as fresh:
            peaks[how] = fresh.train(how, [step, step])["peak_mb"]
        yield Figure(
            benchmark=NAME,
            what=f"{MEMORY.name}, K = {MEMORY.k}: peak memory, {how}",
            rounds=[peaks[how]],
            unit="MB",
            at_most=peaks["TRL"] if how == "ours" else None,
        )
