"""Options that change how a run learns or what it needs, not what it learns from."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rm_training.batch import EncodedPrompt
from rm_training.config import TrainingConfig
from rm_training.data import DataError
from rm_training.listener import SilentListener, TrainingResult
from rm_training.loading import load_base
from rm_training.memory import merge_adapters, save_memory, trainable
from rm_training.network import head_of, rewards_of_prompts
from rm_training.scoring import RewardModel
from rm_training.trainer import train
from tests.preferences import polite_preferences

QUICK = TrainingConfig(lr=1e-3, prompts_per_step=4, device="cpu")
CPU = torch.device("cpu")


def run(
    base: Path, out: Path, config: TrainingConfig, prompts: int = 25
) -> TrainingResult:
    return train(
        polite_preferences(prompts),
        base=str(base),
        out=out,
        config=config,
        listener=SilentListener(),
    )


def reward_model(folder: Path) -> RewardModel:
    return RewardModel.load(folder, device="cpu")


PROMPTS = [
    EncodedPrompt(prompt=(5, 6, 7), responses=((8, 9, 1), (10, 1), (11, 12, 13, 1))),
    EncodedPrompt(prompt=(20, 21), responses=((22, 1), (23, 24, 1))),
]


def gradients(base: Path, config: TrainingConfig) -> dict[str, Tensor]:
    model, _ = load_base(str(base), seed=0, device=CPU)
    save_memory(model, config)
    torch.autograd.backward(rewards_of_prompts(model, PROMPTS).square().sum())
    return {n: w.grad for n, w in model.named_parameters() if w.grad is not None}


def test_recomputed_activations_give_the_same_gradient(tiny_sft: Path) -> None:
    config = dataclasses.replace(QUICK, gradient_checkpointing=True)
    kept, recomputed = gradients(tiny_sft, QUICK), gradients(tiny_sft, config)
    assert kept.keys() == recomputed.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient, atol=1e-6, rtol=1e-5)


def test_recomputed_activations_are_not_kept(tiny_sft: Path) -> None:
    """Tensors that autograd saves between the passes, counted by its own hook."""
    saved = {False: 0, True: 0}
    for on in saved:
        model, _ = load_base(str(tiny_sft), seed=0, device=CPU)
        save_memory(model, dataclasses.replace(QUICK, gradient_checkpointing=on))

        def count(tensor: Tensor, on: bool = on) -> Tensor:  # noqa: FBT001
            saved[on] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            rewards_of_prompts(model, PROMPTS)
    assert saved[True] < saved[False] / 2


def test_recomputed_activations_train_to_the_same_model(
    tiny_sft: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(QUICK, gradient_checkpointing=True)
    one = run(tiny_sft, tmp_path / "1", QUICK)
    two = run(tiny_sft, tmp_path / "2", config)
    prompts, texts = ["Write."], [["sea Thank you", "sea cold night"]]
    first = reward_model(one.folder).score(prompts, texts)[0]
    second = reward_model(two.folder).score(prompts, texts)[0]
    assert first == pytest.approx(second, abs=1e-4)


LORA = dataclasses.replace(QUICK, lora_rank=4, lr=1e-2, epochs=3)


def test_with_lora_adapters_and_the_whole_head_learn_and_nothing_else(
    tiny_sft: Path,
) -> None:
    model, _ = load_base(str(tiny_sft), seed=0, device=CPU)
    save_memory(model, LORA)
    learning = {n for n, w in model.named_parameters() if w.requires_grad}
    assert "score.weight" in learning
    assert all("lora_" in name for name in learning - {"score.weight"})
    # 2 layers of 4 attention and 3 feed-forward matrices, A and B each.
    assert len(learning) == 1 + 2 * 7 * 2
    assert sum(w.numel() for w in trainable(model)) < sum(
        w.numel() for w in model.parameters()
    )


def test_merged_adapters_leave_a_plain_model_with_the_same_rewards(
    tiny_sft: Path,
) -> None:
    plain, _ = load_base(str(tiny_sft), seed=0, device=CPU)
    names = list(plain.state_dict())
    model, _ = load_base(str(tiny_sft), seed=0, device=CPU)
    save_memory(model, LORA)
    with torch.no_grad():
        for weight in trainable(model):
            weight.add_(0.1)
        adapted = rewards_of_prompts(model, PROMPTS)
        merge_adapters(model)
        torch.testing.assert_close(
            rewards_of_prompts(model, PROMPTS), adapted, atol=1e-5, rtol=1e-5
        )
        assert not torch.allclose(rewards_of_prompts(plain, PROMPTS), adapted)
    assert list(model.state_dict()) == names


def test_a_lora_run_learns_and_publishes_a_plain_model(
    tiny_sft: Path, tmp_path: Path
) -> None:
    """The published folder is read by the loader that refuses an absent head."""
    result = run(tiny_sft, tmp_path / "rm", LORA, prompts=60)
    assert result.valid2 is not None
    assert result.valid2.accuracy is not None
    assert result.valid2.accuracy > 0.9
    model = reward_model(result.folder).model
    base, _ = load_base(str(tiny_sft), seed=0, device=CPU)
    assert model.state_dict().keys() == base.state_dict().keys()
    assert not torch.equal(head_of(model).weight, head_of(base).weight)
    assert not list(result.folder.glob("adapter*"))


def test_without_a_better_evaluation_the_run_stops_early(
    tiny_sft: Path, tmp_path: Path
) -> None:
    """At a learning rate of next to nothing, step 1 is the best and stays it."""
    config = dataclasses.replace(QUICK, lr=1e-30, eval_every=1, patience=2)
    result = run(tiny_sft, tmp_path / "rm", config)
    assert (result.steps, result.best_step) == (3, 1)
    log = (result.folder / "training_log.jsonl").read_text().splitlines()
    kinds = [json.loads(line).get("split", "step") for line in log]
    assert kinds == ["step", "valid1"] * 3 + ["valid2"]


def write_reference(path: Path) -> Path:
    rows = [
        {"prompt": "Write of the sea.", "response": "sea wind Thank you"},
        {
            "prompt": [{"role": "user", "content": "Name a city."}],
            "responses": ["city egg", "", "poem poem water"],
        },
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_bias_gives_the_reference_mean_zero_and_moves_no_difference(
    tiny_sft: Path, tmp_path: Path
) -> None:
    file = write_reference(tmp_path / "demonstrations.jsonl")
    plain = run(tiny_sft, tmp_path / "plain", QUICK)
    config = dataclasses.replace(QUICK, reference=str(file))
    result = run(tiny_sft, tmp_path / "rm", config)
    bias = result.meta["bias"]
    assert bias["reference"] == "demonstrations.jsonl"
    assert result.meta["config"]["reference"] == "demonstrations.jsonl"
    assert str(tmp_path) not in json.dumps(result.meta)
    scored = reward_model(result.folder).score(
        ["Write of the sea.", "Name a city."],
        [["sea wind Thank you"], ["city egg", "", "poem poem water"]],
    )
    normalised = [reward - bias["value"] for row in scored for reward in row]
    assert sum(normalised) / 4 == pytest.approx(0.0, abs=1e-6)
    # Raw rewards, and with them every P(win), are those of the run without a reference.
    assert plain.meta["bias"] is None
    files = "model.safetensors", "training_log.jsonl", "config.json"
    for name in files:
        assert (plain.folder / name).read_bytes() == (result.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "holds no response"),
        ('{"prompt": "a"}\n', 'line 1: a row needs a "response"'),
        ('{"prompt": "a", "responses": []}\n', "line 1: a row needs"),
        ('{"prompt": 3, "response": "a"}\n', "line 1: the prompt must be"),
        ("nonsense\n", "line 1: no JSON"),
        (
            json.dumps({"prompt": "a", "responses": ["b", "long " * 2000]}) + "\n",
            "line 1: response 2 does not fit within 1024 tokens",
        ),
    ],
)
def test_a_reference_that_has_no_mean_is_refused_before_the_first_step(
    tiny_sft: Path, tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "reference.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=reason):
        run(
            tiny_sft,
            tmp_path / "rm",
            dataclasses.replace(QUICK, reference=str(file)),
            prompts=5,
        )
    with pytest.raises(DataError, match="there is no file"):
        run(
            tiny_sft,
            tmp_path / "rm",
            dataclasses.replace(QUICK, reference=str(tmp_path / "absent")),
            prompts=5,
        )
