"""A training that is killed with SIGKILL goes on as if it had not been (O13)."""

import contextlib
import json
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rm_training.checkpoint import checkpoints_of
from tests.preferences import polite_preferences, write_rankings
from tests.rm_training.forked import free_port
from tests.rm_training.launched import command, finish, start
from tests.rm_training.test_several_processes import log_of
from tests.tiny_model import make_tiny_sft

FLAGS = (
    *("--lr=1e-3", "--prompts-per-step=4", "--epochs=4"),
    *("--eval-every=3", "--checkpoint-every=2"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 training prompts: 40 steps of 4."""
    return write_rankings(tmp_path_factory.mktemp("data") / "d", polite_preferences(50))


@pytest.fixture(scope="module")
def sft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sft(tmp_path_factory.mktemp("base") / "sft")


@pytest.fixture(scope="module")
def whole(data: Path, sft: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "rm"
    finish(start("manage.py", *command(data, sft, out, *FLAGS)))
    return out


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[int]:
    """A process that is killed at the end of the block, by the kernel."""
    process = start(*arguments)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def wait_for_checkpoint(out: Path, step: int) -> None:
    """Until a checkpoint of this step, or of a later one, is whole."""
    deadline = time.monotonic() + 240
    while True:
        steps = [int(p.name[5:]) for p in checkpoints_of(out).glob("step-*")]
        if max(steps, default=0) >= step:
            return
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.001)


def test_a_run_that_is_killed_twice_ends_in_the_same_bytes(
    data: Path, sft: Path, whole: Path, tmp_path: Path
) -> None:
    """The weights, the record and the log of every step and evaluation."""
    out, draw = tmp_path / "rm", random.Random(13)
    for step in (6, 22):
        with running("manage.py", *command(data, sft, out, *FLAGS)):
            wait_for_checkpoint(out, step)
            time.sleep(draw.uniform(0, 0.1))  # anywhere in a step, or in a write
        assert not out.exists()
    last = start("manage.py", *command(data, sft, out, *FLAGS))
    printed, told = last.communicate(timeout=240)
    assert "40 steps" in printed, told
    resumed = re.search(r"resumed after step (\d+)", told)
    assert resumed, "it began anew: then equal bytes show nothing"
    assert int(resumed[1]) >= 20
    assert (out / "manifest.json").read_bytes() == (
        whole / "manifest.json"
    ).read_bytes()
    steps = [entry["step"] for entry in log_of(out) if "split" not in entry]
    assert steps == list(range(1, 41))


def test_accelerate_launch_resumes_a_killed_run_in_two_processes(
    data: Path, sft: Path, whole: Path, tmp_path: Path
) -> None:
    """Killed in one process, resumed in two by accelerate's own launcher: the same
    numbers to rounding, from the same checkpoint."""
    out = tmp_path / "rm"
    with running("manage.py", *command(data, sft, out, *FLAGS)):
        wait_for_checkpoint(out, 20)
    launcher = (
        *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"),
        *("--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"),
        f"--main_process_port={free_port()}",
    )
    printed = finish(start(*launcher, "manage.py", *command(data, sft, out, *FLAGS)))
    assert printed.count("40 steps") == 1
    assert json.loads((out / "meta.json").read_text())["processes"] == 2
    for ours, theirs in zip(log_of(out), log_of(whole), strict=True):
        assert ours["step"] == theirs["step"]
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
    weights = load_file(whole / "model.safetensors")
    for name, weight in load_file(out / "model.safetensors").items():
        assert (weight - weights[name]).abs().max() < 5e-3, name
