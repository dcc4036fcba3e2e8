"""What rewards over HTTP cost beside the model's own time.

64 clients, each with one request at a time, against `serve_reward_model`; beside it,
in turns, the same requests scored by a bare loop in this process, in batches of as many
tokens as the server's. Both have one thread for the model. The clients are one process
of plain sockets, so that the second core is theirs and the event loop's.
"""

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from rm_training.encoding import template_of
from rm_training.manifest import publishing
from rm_training.scoring import RewardModel
from rm_training.serving.batcher import TOKENS_AT_ONCE
from tests.benchmarks.figures import Figure
from tests.preferences import WORDS
from tests.tiny_model import make_tokenizer

NAME: Final = "scoring"
ROOT: Final = Path(__file__).resolve().parents[2]
TOKENS: Final = 128
"""Of a prompt, and of each response."""
K: Final = 4
REQUESTS_A_BATCH: Final = TOKENS_AT_ONCE // (K * 2 * TOKENS)
MOST_TIMES: Final = 1.3


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    clients: int = 64
    requests: int = 2  # of a client, in a round


def measure(size: Size) -> list[Figure]:
    """The figures, each a median of so many rounds."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "rm"
        make_model(folder)
        model = RewardModel.load(folder, device="cpu")
        bodies = _bodies(size.clients * size.requests, model)
        tokens = sum(_tokens(model, body) for body in bodies)
        with _server(folder) as port:
            _by_clients(port, bodies[: size.clients], size.clients)  # warm
            rounds = [
                (_by_clients(port, bodies, size.clients), _bare(model, bodies))
                for _ in range(size.rounds)
            ]
    served = [answer["seconds"] for answer, _ in rounds]
    bare = [seconds for _, seconds in rounds]
    p95 = [_p95(answer["latencies"]) * 1000 for answer, _ in rounds]
    return [
        _figure(
            f"/score : bare loop, {size.clients} clients",
            [one / other for one, other in zip(served, bare, strict=True)],
            "times",
            at_most=MOST_TIMES,
        ),
        _figure("/score", [len(bodies) / one for one in served], "requests/s"),
        _figure("/score", [tokens / one for one in served], "tokens/s"),
        _figure("bare loop", [tokens / one for one in bare], "tokens/s"),
        _figure(f"p95 latency, {size.clients} clients", p95, "ms"),
    ]


def make_model(folder: Path) -> None:
    """Publishes an untrained Llama: hidden 256, 4 layers, as a reward model."""
    tokenizer: Any = make_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    config = AutoConfig.for_model(
        "llama",
        vocab_size=8192,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=2048,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    meta = {
        "template": {"sha256": template_of(tokenizer).sha256},
        "encoding": {"max_length": 2048, "max_prompt_tokens": 1024},
    }
    untyped: Any = AutoModelForSequenceClassification
    with publishing(folder) as partial:
        untyped.from_config(config).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / "meta.json").write_text(json.dumps(meta))


def _bodies(count: int, model: RewardModel) -> list[dict[str, Any]]:
    draw = random.Random(0)
    return [
        {
            "prompt": _text(draw, model),
            "responses": [_text(draw, model) for _ in range(K)],
        }
        for _ in range(count)
    ]


def _text(draw: random.Random, model: RewardModel) -> str:
    """Words of TOKENS tokens, or one more."""
    words, tokens = list[str](), 0
    while tokens < TOKENS:
        words.append(draw.choice(WORDS))
        tokens = len(model.encoder.tokenizer(" ".join(words))["input_ids"])
    return " ".join(words)


def _tokens(model: RewardModel, body: dict[str, Any]) -> int:
    encoded = model.encode(body["prompt"], body["responses"])
    return sum(map(len, encoded.rows()))


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Its port, once it is ready."""
    command = [sys.executable, "manage.py", "serve_reward_model", "--port", "0"]
    process = subprocess.Popen(
        [
            *command,
            *("--model", str(folder), "--device", "cpu", "--threads", "1"),
            *("--timeout", "600"),
        ],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "annotation.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        _await_model(port)
        yield port
    finally:
        process.terminate()
        process.communicate()


def _await_model(port: int) -> None:
    """Returns when the server is ready. Raises RuntimeError once it never will be."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/readyz")
        state = json.loads(connection.getresponse().read())
        connection.close()
        if state["state"] == "ready":
            return
        if state["state"] == "refused":
            raise RuntimeError(state["reason"])
        time.sleep(0.05)


def _by_clients(
    port: int, bodies: Sequence[dict[str, Any]], clients: int
) -> dict[str, Any]:
    each = [bodies[number::clients] for number in range(clients)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.scoring_clients", str(port)],
        cwd=ROOT,
        input=json.dumps(each),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _bare(model: RewardModel, bodies: Sequence[dict[str, Any]]) -> float:
    """Seconds of the same work without a server, tokenising included."""
    started = time.perf_counter()
    for first in range(0, len(bodies), REQUESTS_A_BATCH):
        batch = bodies[first : first + REQUESTS_A_BATCH]
        model.score(
            [body["prompt"] for body in batch], [body["responses"] for body in batch]
        )
    return time.perf_counter() - started


def _p95(latencies: Sequence[float]) -> float:
    return statistics.quantiles(latencies, n=20)[-1]


def _figure(
    what: str, rounds: list[float], unit: str, *, at_most: float | None = None
) -> Figure:
    return Figure(benchmark=NAME, what=what, rounds=rounds, unit=unit, at_most=at_most)
