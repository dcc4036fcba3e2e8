"""From examples and a base model to all that a run needs before its first step."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rm_training.batch import (
    EncodedPrompt,
    EncodingReport,
    encode_examples,
    pad_ranks,
)
from rm_training.checkpoint import Checkpoints, checkpoints_of
from rm_training.config import Ties, TrainingConfig
from rm_training.data import DataError, Example, data_sha256
from rm_training.encoding import Encoder, template_of
from rm_training.listener import SilentListener, TrainingListener
from rm_training.loading import load_base, tokenizer_sha256
from rm_training.loss import pair_weights
from rm_training.memory import save_memory
from rm_training.network import limits_of, weights_sha256
from rm_training.processes import Processes, join_processes
from rm_training.reference import Reference, read_reference
from rm_training.schedule import steps_in_total
from rm_training.splits import split_examples


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """All that stays the same while a run trains (but for the model's weights)."""

    base: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    encoder: Encoder
    config: TrainingConfig
    processes: Processes
    listener: TrainingListener
    """Silent in all processes but the main one."""
    train: list[EncodedPrompt]
    """Every prompt here has a kept pair."""
    valid1: list[EncodedPrompt]
    valid2: list[EncodedPrompt]
    reference: Reference | None
    report: EncodingReport
    rankings: int
    """In the data, before anything was left out; report.prompts likewise."""
    notes: tuple[str, ...]
    identity: dict[str, str]
    """Hashes of what the result depends on; a resume compares them."""
    checkpoints: Checkpoints

    @property
    def total_steps(self) -> int:
        """Optimizer steps from start to end."""
        return steps_in_total(len(self.train), self.config)


def prepare(
    examples: Sequence[Example],
    *,
    base: str,
    out: Path,
    config: TrainingConfig,
    listener: TrainingListener,
) -> PreparedRun:
    """Splits the prompts, loads the base and encodes every text once.

    Raises DataError where nothing can be learnt; ConfigError, ModelError and
    EncodingError as the parts do.
    """
    splits = split_examples(examples)
    processes = join_processes(config.device)
    model, tokenizer = load_base(base, seed=config.seed, device=processes.device)
    encoder = Encoder(
        tokenizer=tokenizer,
        template=template_of(tokenizer),
        limits=limits_of(model, config),
    )
    if encoder.template.text:
        tokenizer.chat_template = encoder.template.text  # the one of several, frozen
    report = EncodingReport()
    train, valid1, valid2 = (
        encode_examples(part, encoder, report)
        for part in (splits.train, splits.valid1, splits.valid2)
    )
    learnable = [prompt for prompt in train if has_kept_pair(prompt, config.ties)]
    if not learnable:
        raise DataError(
            f"none of the {len(splits.train)} training prompts has a pair that a "
            "labeler ordered: there is nothing to learn from"
        )
    identity = {
        "data": data_sha256(examples),
        "config": _config_identity(config),
        "template": encoder.template.sha256,
        "tokenizer": tokenizer_sha256(tokenizer),
        "base": weights_sha256(model),
    }
    save_memory(model, config)
    return PreparedRun(
        base=base,
        model=model,
        tokenizer=tokenizer,
        encoder=encoder,
        config=config,
        processes=processes,
        listener=listener if processes.is_main else SilentListener(),
        train=learnable,
        valid1=valid1,
        valid2=valid2,
        reference=(
            read_reference(Path(config.reference), encoder)
            if config.reference
            else None
        ),
        report=report,
        rankings=sum(len(example.rankings) for example in examples),
        notes=(
            *splits.notes,
            *_notes(report, without_pair=len(splits.train) - len(learnable)),
        ),
        identity=identity,
        checkpoints=Checkpoints(
            root=checkpoints_of(out), identity=identity, kept=config.checkpoints_kept
        ),
    )


def has_kept_pair(prompt: EncodedPrompt, ties: Ties) -> bool:
    """Whether the loss learns anything from the prompt."""
    return bool(pair_weights(pad_ranks([prompt]), ties).any())


def _config_identity(config: TrainingConfig) -> str:
    """What the weights depend on.

    Where a run trains, what it keeps on the way and what it is measured by afterwards
    may change between attempts.
    """
    anywhere = dataclasses.replace(
        config, device="auto", checkpoint_every=0, checkpoints_kept=1, reference=None
    )
    return anywhere.to_json()


def _notes(report: EncodingReport, *, without_pair: int) -> list[str]:
    notes = []
    if without_pair:
        notes.append(f"{without_pair} training prompts have no kept pair: left out")
    if report.prompts_trimmed:
        notes.append(
            f"{report.prompts_trimmed} of {report.prompts} prompts were too long and "
            f"lost their oldest tokens ({report.tokens_trimmed} in all)"
        )
    if report.responses_dropped:
        notes.append(
            f"{report.responses_dropped} of {report.responses} responses are too long "
            f"and in no pair, among them: {', '.join(report.dropped)}"
        )
    if report.joined_differently:
        notes.append(
            f"{report.joined_differently} of {report.responses} responses get other "
            "tokens from readers that tokenise prompt and response as one text"
        )
    return notes
