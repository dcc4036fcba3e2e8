"""`serve_reward_model` as a process of its own, with a real (tiny) model behind it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from rm_training.listener import TrainingResult
from rm_training.management.commands.serve_reward_model import read_token
from rm_training.manifest import MANIFEST, file_sha256
from rm_training.scoring import RewardModel
from rm_training.serving.requests import Limits
from rm_training.serving.server import service_of
from tests.preferences import polite_preferences
from tests.rm_training.scoring_client import Remote, served, until
from tests.tiny_model import CHAT_TEMPLATE

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "s3cret"
LONG = "the sea is wide and the wind is cold tonight " * 60


@contextmanager
def process(folder: Path) -> Iterator[tuple[Remote, "subprocess.Popen[str]"]]:
    """The command on a free port, ready; it is killed in the end."""
    command = [sys.executable, "manage.py", "serve_reward_model", "--model"]
    running = subprocess.Popen(
        [*command, str(folder), "--port", "0", "--threads", "1", "--device", "cpu"],
        cwd=ROOT,
        env={**os.environ, "RANKWELL_SCORE_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert running.stdout is not None
        said = running.stdout.readline()
        remote = Remote(int(said.rpartition(":")[2]), TOKEN)
        until(lambda: remote.ask("/readyz").status == 200)
        yield remote, running
    finally:
        running.kill()
        running.communicate()


@pytest.fixture(scope="module")
def running(
    polite_run: TrainingResult,
) -> Iterator[tuple[Remote, "subprocess.Popen[str]"]]:
    with process(polite_run.folder) as found:
        yield found


@pytest.fixture
def remote(running: tuple[Remote, "subprocess.Popen[str]"]) -> Remote:
    return running[0]


@pytest.fixture(scope="module")
def model(polite_run: TrainingResult) -> RewardModel:
    return RewardModel.load(polite_run.folder, device="cpu")


# --- Rewards ----------------------------------------------------------------------


def test_rewards_are_those_of_score_whatever_shares_the_batch(
    remote: Remote, model: RewardModel
) -> None:
    examples = polite_preferences(40, seed=7)
    bodies: list[dict[str, Any]] = [
        {"prompt": list(one.messages), "responses": list(one.responses)}
        for one in examples
    ]
    bodies[3]["responses"] = [LONG, ""]
    bodies[4]["prompt"] = LONG
    expected = [
        model.score([body["prompt"]], [body["responses"]])[0] for body in bodies
    ]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: remote.ask("/score", body), bodies))
    for answer, rewards in zip(answers, expected, strict=True):
        assert answer.status == 200
        assert answer.json["rewards"] == pytest.approx(rewards, abs=1e-5)
        assert "normalised" not in answer.json
    batches = remote.measure("rankwell_batch_requests_count")
    assert batches < remote.measure("rankwell_batch_requests_sum")


def test_a_list_is_answered_by_a_list(remote: Remote, model: RewardModel) -> None:
    bodies = [
        {"prompt": "One?", "responses": ["a", "b"]},
        {"prompt": "Two?", "responses": []},
    ]
    answer = remote.ask("/score", bodies).json
    first, second = [one["rewards"] for one in answer]
    assert first == pytest.approx(model.score(["One?"], [["a", "b"]])[0], abs=1e-5)
    assert second == []
    assert remote.ask("/score", []).json == []


def test_the_reward_of_rlhf_is_the_models_less_the_penalty(
    remote: Remote, model: RewardModel
) -> None:
    ((r,),) = model.score(["Hi"], [["a"]])
    body: dict[str, Any] = {
        "prompt": "Hi",
        "response": "a",
        "policy_logprobs": [-1.0, -0.5],
        "reference_logprobs": [-1.5, -0.25],
        "beta": 0.5,
    }
    answer = remote.ask("/reward", body).json
    assert answer["r"] == pytest.approx(r, abs=1e-5)
    assert answer["kl"] == 0.25
    assert answer["reward"] == pytest.approx(r - 0.125, abs=1e-5)
    assert answer["per_token"] == pytest.approx([-0.25, 0.125 + r], abs=1e-5)
    refused = remote.ask("/reward", body | {"reference_logprobs": [-1]})
    assert (refused.status, refused.json["code"]) == (422, "bad_logprobs")


def rendered(text: str) -> str:
    """The tiny model's chat template, by hand."""
    assert "assistant" in CHAT_TEMPLATE
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def test_the_joined_texts_of_openrlhf_get_the_same_rewards(
    remote: Remote, model: RewardModel
) -> None:
    expected = model.score(["Hi", "Hi", "Ho"], [["a b"], [""], ["a b"]])
    prompts = [rendered("Hi"), rendered("Hi"), rendered("Ho")]
    ends = ["<|im_end|>", "", "<|im_end|><|pad|><|pad|>"]
    queries = [
        prompt + text + end
        for prompt, text, end in zip(prompts, ["a b", "", "a b"], ends, strict=True)
    ]
    body = {"query": queries, "prompts": prompts, "labels": [None, "x", {}]}
    answer = remote.ask("/get_reward", body).json
    assert sorted(answer) == ["extra_logs", "rewards", "scores"]
    flat = [reward for [reward] in expected]
    assert answer["rewards"] == pytest.approx(flat, abs=1e-5)
    assert answer["scores"] == answer["rewards"]
    # Without its prompts a text is one piece; here no token merges across the border.
    alone = remote.ask("/get_reward", {"query": queries}).json
    assert alone["rewards"] == pytest.approx(flat, abs=1e-5)


# --- Refusals ---------------------------------------------------------------------


def test_what_does_not_fit_is_refused_and_nothing_is_cut(remote: Remote) -> None:
    answer = remote.ask("/score", {"prompt": "Hi", "responses": [LONG * 9]})
    assert (answer.status, answer.json["code"]) == (422, "cannot_be_scored")
    assert "response 1 has" in answer.json["message"]
    joined = remote.ask("/get_reward", {"query": [LONG * 9]})
    assert joined.status == 422


def test_no_reward_without_the_token(remote: Remote) -> None:
    body = {"prompt": "Hi", "responses": ["a"]}
    assert Remote(remote.port).ask("/score", body).status == 401


def test_other_addresses_and_verbs_are_not_there(remote: Remote) -> None:
    assert remote.ask("/score").status == 405
    assert remote.ask("/docs").status == 404


def test_malformed_json_is_refused_with_its_place(remote: Remote) -> None:
    answer = remote.ask("/score", b'{"prompt": ]')
    assert (answer.status, answer.json["code"]) == (400, "bad_json")
    assert answer.json["message"] == "not JSON: Expecting value (column 12)"


# --- Damaged models ---------------------------------------------------------------


def test_a_model_with_a_wrong_hash_is_not_served(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(polite_run.folder, tmp_path / "rm"))
    flipped = bytearray((copy / "model.safetensors").read_bytes())
    flipped[-1] ^= 1
    (copy / "model.safetensors").write_bytes(flipped)
    service = service_of(copy, device="cpu", limits=Limits(), token="")
    with served(service) as remote:
        until(lambda: remote.ask("/readyz").json["state"] == "refused")
        ready = remote.ask("/readyz")
        assert ready.status == 503
        assert "model.safetensors has changed" in ready.json["reason"]
        answer = remote.ask("/score", {"prompt": "Hi", "responses": ["a"]})
        assert (answer.status, answer.json["code"]) == (503, "no_model")
        assert "rewards" not in answer.json
        assert remote.ask("/livez").status == 200


def test_a_stored_bias_is_subtracted_beside_the_raw_rewards(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(polite_run.folder, tmp_path / "rm"))
    meta = json.loads((copy / "meta.json").read_bytes()) | {"bias": {"value": 0.5}}
    write_anew(copy, "meta.json", json.dumps(meta))
    with served(service_of(copy, device="cpu", limits=Limits(), token="")) as remote:
        until(lambda: remote.ask("/readyz").status == 200)
        answer = remote.ask("/score", {"prompt": "Hi", "responses": ["a"]}).json
        assert answer["normalised"] == [answer["rewards"][0] - 0.5]
        assert list(answer) == ["rewards", "normalised", "model"]


def write_anew(folder: Path, name: str, content: str) -> None:
    """Changes a file and its entry in the manifest."""
    (folder / name).write_text(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {
        "sha256": file_sha256(folder / name),
        "bytes": (folder / name).stat().st_size,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))


# --- The command ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--model", "no/such/folder"], 1, "it is no published model"),
        (["--model", ".", "--device", "quantum"], 2, "'quantum' is unknown"),
        (["--model", ".", "--token-file", "no/such"], 2, "--token-file no/such"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_line(
    arguments: list[str], status: int, said: str
) -> None:
    with pytest.raises(CommandError, match=said) as caught:
        call_command("serve_reward_model", *arguments)
    assert caught.value.returncode == status
    assert "\n" not in str(caught.value)


def test_a_token_file_holds_the_token_in_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" abc \nmore\n")
    assert read_token(file) == "abc"
    file.write_text("\nabc")
    with pytest.raises(CommandError, match="first line is empty"):
        read_token(file)


# --- The end ----------------------------------------------------------------------


def test_a_server_that_is_told_to_end_first_answers_what_it_holds(
    running: tuple[Remote, "subprocess.Popen[str]"],
) -> None:
    # The last test of this process: it is gone afterwards.
    remote, process = running
    body = {"prompt": "Hi", "responses": [LONG] * 20}
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(remote.ask, "/score", body) for _ in range(5)]
        until(lambda: remote.measure("rankwell_waiting_requests") >= 1)
        process.send_signal(signal.SIGTERM)
        assert [one.result().status for one in answers] == [200] * 5
    assert process.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ConnectionRefusedError):
        remote.ask("/livez")
