"""What vLLM and others read in a published folder before they load it."""

import json

from rm_training.listener import TrainingResult


def test_the_config_says_what_a_pooling_server_needs(
    polite_run: TrainingResult,
) -> None:
    config = json.loads((polite_run.folder / "config.json").read_bytes())
    # The architecture's name chooses the task: *ForSequenceClassification is classify.
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert config["model_type"] == "llama"
    # One label: num_labels is not written, but follows from id2label.
    assert len(config["id2label"]) == len(config["label2id"]) == 1
    # A head of one output that regresses has no classes to choose among.
    assert config.get("problem_type") in (None, "regression")
    assert config["pad_token_id"] != config["eos_token_id"]
    assert config["dtype"] == "float32"
    assert "auto_map" not in config


def test_the_tokenizer_brings_template_and_pad_token(
    polite_run: TrainingResult,
) -> None:
    config = json.loads((polite_run.folder / "config.json").read_bytes())
    tokenizer = json.loads((polite_run.folder / "tokenizer.json").read_bytes())
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    settings = json.loads((polite_run.folder / "tokenizer_config.json").read_bytes())
    assert ids[settings["pad_token"]] == config["pad_token_id"]
    assert ids[settings["eos_token"]] == config["eos_token_id"]
    assert (polite_run.folder / "chat_template.jinja").is_file()
