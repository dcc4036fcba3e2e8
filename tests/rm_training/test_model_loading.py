"""What is refused before it can do harm, in one line."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PretrainedConfig

from rm_training.loading import load_base, load_trained
from rm_training.network import ModelError
from tests.tiny_model import make_tiny_sft

CPU = torch.device("cpu")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base model that a test may spoil."""
    return make_tiny_sft(tmp_path / "base")


@pytest.fixture
def trained(polite_run: Any, tmp_path: Path) -> Path:
    """A trained reward model that a test may spoil."""
    return Path(shutil.copytree(polite_run.folder, tmp_path / "rm"))


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refused(source: object) -> str:
    with pytest.raises(ModelError) as caught:
        load_base(str(source), seed=0, device=CPU)
    message = str(caught.value)
    assert "\n" not in message
    assert str(source) in message
    return message


class Bomb:
    """Creates the sentinel when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.sentinel,))


def test_the_bomb_would_go_off_if_it_were_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "sentinel")))
    assert (tmp_path / "sentinel").exists()


def test_pickled_weights_are_never_opened(base: Path, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    (base / "model.safetensors").unlink()
    with (base / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Bomb(sentinel), file)
    assert "safetensors" in refused(base)
    assert not sentinel.exists()


@pytest.mark.parametrize("spoil_trained", [False, True])
def test_code_that_a_model_brings_is_never_imported(
    base: Path, trained: Path, tmp_path: Path, *, spoil_trained: bool
) -> None:
    folder, sentinel = trained if spoil_trained else base, tmp_path / "sentinel"
    (folder / "modeling_evil.py").write_text(
        f"from pathlib import Path\nPath({str(sentinel)!r}).touch()\nclass Evil: ...\n"
    )
    change_config(
        folder,
        auto_map={
            "AutoConfig": "modeling_evil.Evil",
            "AutoModelForSequenceClassification": "modeling_evil.Evil",
        },
        trust_remote_code=True,
    )
    if spoil_trained:
        with pytest.raises(ModelError, match="auto_map: models with code of their own"):
            load_trained(folder, device=CPU)
    else:
        assert "config.json sets auto_map" in refused(folder)
    assert not sentinel.exists()


def test_trust_remote_code_in_a_config_is_refused(base: Path) -> None:
    change_config(base, trust_remote_code=True)
    assert "config.json sets trust_remote_code" in refused(base)


def test_code_that_a_tokenizer_brings_is_never_imported(
    base: Path, tmp_path: Path
) -> None:
    sentinel, path = tmp_path / "sentinel", base / "tokenizer_config.json"
    (base / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(sentinel)!r}).touch()\nclass Evil: ...\n"
    )
    fields = json.loads(path.read_text())
    fields |= {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    fields |= {"tokenizer_class": "Evil", "trust_remote_code": True}
    path.write_text(json.dumps(fields))
    assert "tokenizer_config.json sets auto_map" in refused(base)
    assert not sentinel.exists()


def test_an_architecture_that_we_would_score_wrongly_is_refused(base: Path) -> None:
    change_config(base, model_type="bert")
    assert "'bert' is not supported; supported: gemma, " in refused(base)


def test_a_directory_that_is_absent_or_no_model_is_one_clear_line(
    tmp_path: Path,
) -> None:
    assert "there is no model directory" in refused(tmp_path / "nowhere")
    assert "config.json" in refused(tmp_path)


def test_a_hub_id_that_cannot_be_fetched_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("We could not connect.\nCheck your internet connection.")

    monkeypatch.setattr(PretrainedConfig, "get_config_dict", unreachable)
    assert refused("someone/model") == (
        "cannot load someone/model: We could not connect."
    )


def test_damaged_weights_are_one_clear_line(base: Path) -> None:
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(base)


def test_missing_weights_are_refused_by_name(base: Path) -> None:
    path = base / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    assert "weights are missing: model.layers.1.mlp.up_proj.weight" in refused(base)


def test_a_tokenizer_without_eos_is_refused(base: Path) -> None:
    path = base / "tokenizer_config.json"
    fields = json.loads(path.read_text())
    del fields["eos_token"]
    path.write_text(json.dumps(fields))
    assert "no EOS" in refused(base)


def test_a_trained_model_without_its_head_is_refused(trained: Path) -> None:
    path = trained / "model.safetensors"
    weights = load_file(path)
    del weights["score.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weights are missing: score\.weight"):
        load_trained(trained, device=CPU)


def test_a_trained_model_with_two_outputs_is_refused(trained: Path) -> None:
    change_config(trained, id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    with pytest.raises(ModelError, match="one output"):
        load_trained(trained, device=CPU)


@pytest.mark.parametrize("pad", [None, 1, 5])
def test_a_pad_token_that_is_eos_or_differs_is_refused(
    trained: Path, pad: int | None
) -> None:
    change_config(trained, pad_token_id=pad)
    with pytest.raises(ModelError, match="the pads must be equal and not the EOS"):
        load_trained(trained, device=CPU)
