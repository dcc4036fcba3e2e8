"""Rewards of a published model, in process and line by line."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from rm_training import network, scoring
from rm_training.data import DataError
from rm_training.encoding import EncodingError
from rm_training.listener import TrainingResult
from rm_training.manifest import MANIFEST, DamagedFolder, file_sha256
from rm_training.scoring import BadLine, RewardModel, score_lines
from tests.preferences import BAD, GOOD


@pytest.fixture(scope="module")
def model(polite_run: TrainingResult) -> RewardModel:
    return RewardModel.load(polite_run.folder, device="cpu")


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_what_was_learnt_is_scored_higher(model: RewardModel) -> None:
    ((polite, rude),) = model.score(
        ["Write of the wind."], [[f"sea egg {GOOD}", f"sea egg {BAD}"]]
    )
    assert polite > rude + 1


def test_rewards_come_in_the_order_given_for_any_k(model: RewardModel) -> None:
    prompts = ["One?", "Two?", "Three?", "Four?"]
    responses = [["a " * 30, "b"], [], ["c", "d " * 9, ""], ["e"]]
    together = model.score(prompts, responses)
    assert [len(of_prompt) for of_prompt in together] == [2, 0, 3, 1]
    for prompt, texts, rewards in zip(prompts, responses, together, strict=True):
        for text, reward in zip(texts, rewards, strict=True):
            ((alone,),) = model.score([prompt], [[text]])
            assert reward == pytest.approx(alone, abs=1e-5)
    assert len({reward for rewards in together for reward in rewards}) == 6


def test_the_size_of_a_pass_changes_nothing_but_rounding(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = [["word " * n for n in (1, 40, 3, 90, 7)]]
    at_once = model.score(["Hi"], responses)[0]
    passes: list[int] = []
    encode = network.rewards_of_prompts

    def counted(model: Any, prompts: Any, **kwargs: Any) -> Any:
        passes.append(sum(len(prompt.responses) for prompt in prompts))
        return encode(model, prompts, **kwargs)

    monkeypatch.setattr(network, "rewards_of_prompts", counted)
    monkeypatch.setattr(network, "POSITIONS_AT_ONCE", 1)
    one_by_one = model.score(["Hi"], responses)[0]
    assert passes == [1] * 5
    assert at_once == pytest.approx(one_by_one, abs=1e-5)


def test_a_prompt_without_responses_is_passed_over(model: RewardModel) -> None:
    alone = model.score(["Hi"], [["a"]])[0]
    assert model.score(["Ho", "Hi", "Ho"], [[], ["a"], []]) == [[], alone, []]


def test_a_text_prompt_is_one_user_turn(model: RewardModel) -> None:
    message = {"role": "user", "content": "Hi"}
    assert model.score(["Hi"], [["a"]]) == model.score([[message]], [["a"]])


def test_prompts_and_responses_that_cannot_be_scored_are_refused(
    model: RewardModel,
) -> None:
    with pytest.raises(DataError, match="last turn"):
        model.score([[{"role": "assistant", "content": "x"}]], [["a"]])
    with pytest.raises(EncodingError, match=r"response 2 has \d+ tokens, its prompt"):
        model.score(["Hi"], [["short", "long " * 2000]])


def test_a_long_prompt_is_trimmed_as_in_training(model: RewardModel) -> None:
    long = "the sea is wide " * 2000
    ((one, other),) = model.score([long], [["a", "b"]])
    assert one != other


def test_a_damaged_folder_is_not_scored_with(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(polite_run.folder, tmp_path / "rm"))
    path = copy / "model.safetensors"
    flipped = bytearray(path.read_bytes())
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(DamagedFolder, match=r"model\.safetensors has changed"):
        RewardModel.load(copy, device="cpu")


def forge(folder: Path, name: str, content: str) -> None:
    """Changes a file and its entry in the manifest."""
    (folder / name).write_text(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {
        "sha256": file_sha256(folder / name),
        "bytes": (folder / name).stat().st_size,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_another_chat_template_than_in_training_is_refused(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(polite_run.folder, tmp_path / "rm"))
    forge(copy, "chat_template.jinja", "{{ messages[0]['content'] }}")
    with pytest.raises(DamagedFolder, match="chat template is not the one"):
        RewardModel.load(copy, device="cpu")


@pytest.mark.parametrize("meta", ["{}", "[]", "{", '{"template": {"sha256": ""}}'])
def test_a_meta_file_that_says_too_little_is_refused(
    polite_run: TrainingResult, tmp_path: Path, meta: str
) -> None:
    copy = Path(shutil.copytree(polite_run.folder, tmp_path / "rm"))
    forge(copy, "meta.json", meta)
    with pytest.raises(DamagedFolder, match=r"meta\.json"):
        RewardModel.load(copy, device="cpu")


def test_lines_come_back_with_rewards_and_all_other_keys(model: RewardModel) -> None:
    lines = [
        line(id=7, prompt="Hi", responses=["a", "b"], note="ünï", rewards=[9]),
        b"\n",
        line(prompt=[{"role": "user", "content": "Ho"}], responses=["c"]),
    ]
    first, second = [json.loads(one) for one in score_lines(model, lines)]
    assert list(first) == ["id", "prompt", "responses", "note", "rewards"]
    assert (first["id"], first["note"]) == (7, "ünï")
    assert first["rewards"] == pytest.approx(model.score(["Hi"], [["a", "b"]])[0])
    assert len(second["rewards"]) == 1
    assert "normalised" not in first


def test_a_stored_bias_is_subtracted_exactly_beside_the_raw_rewards(
    model: RewardModel,
) -> None:
    biased = dataclasses.replace(model, meta={**model.meta, "bias": {"value": 0.5}})
    (scored,) = score_lines(
        biased, [line(prompt="Hi", responses=["a", "b"], normalised=["stale"])]
    )
    row = json.loads(scored)
    assert row["normalised"] == [reward - 0.5 for reward in row["rewards"]]
    (raw,) = score_lines(
        model, [line(prompt="Hi", responses=["a", "b"], normalised=["stale"])]
    )
    assert json.loads(raw)["rewards"] == row["rewards"]
    assert "normalised" not in json.loads(raw)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{\n", "no JSON in UTF-8"),
        (b'{"prompt": "\xff", "responses": []}\n', "no JSON in UTF-8"),
        (b'{"prompt": "a", "responses": [], "x": NaN}\n', "NaN is no JSON"),
        (b'{"prompt": "a", "responses": [], "x": 1e999}\n', "1e999 is no finite"),
        (b"[" * 100_000, "no JSON in UTF-8"),
        (b"[]\n", 'an object with "prompt" and "responses"'),
        (line(prompt="a"), 'an object with "prompt" and "responses"'),
        (line(prompt=3, responses=[]), "a text or a list of messages"),
        (line(prompt="a", responses="b"), '"responses" must be a list'),
        (line(prompt="a", responses=["b", None]), "response 2 must be a text"),
        (b'{"prompt": "a", "responses": ["\\ud800"]}\n', "lone surrogate"),
        (line(prompt="a", responses=["long " * 2000]), "response 1 has"),
    ],
)
def test_a_bad_line_is_named_after_all_lines_before_it(
    model: RewardModel, bad: bytes, reason: str
) -> None:
    good = line(prompt="a", responses=["b"])
    given: list[str] = []
    with pytest.raises(BadLine, match=r"^line 3: ") as caught:
        given.extend(score_lines(model, [good, good, bad, good]))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_before_a_bad_one_are_given(model: RewardModel) -> None:
    good, long = (line(prompt="a", responses=[text]) for text in ("b", "x " * 3000))
    for bad in (b"{\n", long):
        scored = score_lines(model, [good, good, bad])
        first, second = (json.loads(next(scored))["rewards"] for _ in range(2))
        # Two rows of one batch: the same text may differ by a bit of float32.
        assert first == pytest.approx(second, rel=1e-5)
        with pytest.raises(BadLine, match="line 3"):
            next(scored)


def test_lines_are_scored_in_windows_and_never_all_at_once(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "LINES_AT_ONCE", 2)
    read: list[int] = []

    def lines() -> Any:
        for number in range(5):
            read.append(number)
            yield line(prompt=f"{number}", responses=["a"])

    scored = score_lines(model, lines())
    next(scored)
    assert read == [0, 1]
    assert len(list(scored)) == 4


def test_scoring_keeps_no_gradients(model: RewardModel) -> None:
    model.score(["Hi"], [["a"]])
    assert all(weight.grad is None for weight in model.model.parameters())
    assert torch.is_grad_enabled()
