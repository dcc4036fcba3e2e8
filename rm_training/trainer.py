"""Trains a reward model. The loop is ours and reads from top to bottom."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from rm_training.batch import EncodedPrompt, pad_ranks, pad_rows
from rm_training.checkpoint import (
    CheckpointError,
    Progress,
    cpu_weights,
    newest_good_checkpoint,
    publish,
    resume,
    save_checkpoint,
)
from rm_training.config import TrainingConfig
from rm_training.data import Example
from rm_training.heldout import better, evaluate, in_passes
from rm_training.listener import (
    Evaluation,
    NonFiniteLoss,
    StepReport,
    TrainingListener,
    TrainingResult,
    TrainingStopped,
)
from rm_training.loading import load_classifier
from rm_training.loss import loss_denominator, pair_weights, preference_loss
from rm_training.manifest import check_output, discard_partials
from rm_training.metrics import PairCounts, RewardSums, count_prompt
from rm_training.network import moved, rewards_of_prompts, rewards_of_rows
from rm_training.preparation import PreparedRun, prepare
from rm_training.record import meta_of
from rm_training.schedule import learning_rate, prompts_of_step


def train(
    examples: Sequence[Example],
    *,
    base: str,
    out: Path,
    config: TrainingConfig,
    listener: TrainingListener,
) -> TrainingResult:
    """Learns on train, keeps the weights that were best on valid1, reports valid2.

    `base` is the SFT model's directory or hub id. `out` must be absent or empty; it
    appears at the end, whole, or not at all. A run that was killed resumes, bit-equal
    on the CPU, when it is called again with the same arguments: its checkpoints lie
    beside `out`, and stay until the caller has taken the result: only the caller knows
    when nothing can be lost any more (`discard_checkpoints`, `discard_attempts`).

    The same examples, base and config give the same weights on the same CPU software.

    Raises OutputRefused, ConfigError, DataError, EncodingError, ModelError,
    CheckpointError (see where they are defined), NonFiniteLoss, TrainingStopped.
    """
    check_output(out)
    discard_partials(out)
    run = prepare(examples, base=base, out=out, config=config, listener=listener)
    for note in run.notes:
        listener.on_note(note)
    progress = _optimise(run)
    if progress.best_weights is not None:
        run.model.load_state_dict(progress.best_weights)
    valid2 = _evaluate(run, "valid2", run.valid2, progress)
    meta = meta_of(run, progress=progress, valid2=valid2)
    publish(
        run.model,
        run.tokenizer,
        meta=meta,
        out=out,
        check=lambda folder: _check_reload(run, folder),
    )
    return TrainingResult(
        folder=out,
        steps=progress.step,
        best_step=meta["metrics"]["best_step"],
        valid1=progress.best,
        valid2=valid2,
        notes=run.notes,
        meta=meta,
    )


def _optimise(run: PreparedRun) -> Progress:
    """The training loop: from the newest checkpoint, or from the start, to the end."""
    config, model, listener = run.config, run.model, run.listener
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    progress = _resume(run, optimizer)
    while progress.step < run.total_steps:
        if listener.should_stop():
            _save(run, optimizer, progress)
            raise TrainingStopped(progress.step)

        step = progress.step  # from 0
        rate = learning_rate(step, total=run.total_steps, config=config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = prompts_of_step(step, prompts=len(run.train), config=config)
        try:
            prompts = [run.train[i] for i in chosen]
            report = _step(run, optimizer, prompts, step=step + 1)
        except TrainingStopped:  # nothing of the unfinished step stays
            optimizer.zero_grad()
            _save(run, optimizer, progress)
            raise
        progress.step += 1
        progress.tokens += report.tokens
        listener.on_step(report)

        last = progress.step == run.total_steps
        if last or progress.step % config.eval_every == 0:
            valid1 = _evaluate(run, "valid1", run.valid1, progress)
            if valid1 is not None and better(valid1, progress.best):
                progress.best, progress.best_weights = valid1, cpu_weights(model)
        every = config.checkpoint_every
        if every and progress.step % every == 0 and not last:
            _save(run, optimizer, progress)
    return progress


def _step(
    run: PreparedRun,
    optimizer: torch.optim.Optimizer,
    prompts: Sequence[EncodedPrompt],
    *,
    step: int,
) -> StepReport:
    """One optimizer step on these prompts, in passes that fit into memory.

    Each pass is divided by the denominator of the whole step, so the passes add up to
    the gradient of one big batch, whatever K and ties they hold.
    """
    config, model, started = run.config, run.model, time.monotonic()
    passes = list(in_passes(prompts, config))
    weights = [pair_weights(pad_ranks(group), config.ties) for group in passes]
    denominator = sum(loss_denominator(w, config.loss).item() for w in weights)
    loss, counts, tokens, padding = 0.0, PairCounts(), 0, 0
    sums = RewardSums()

    for group, w in zip(_asking(run, passes, step - 1), weights, strict=True):
        rewards = rewards_of_prompts(
            model, group, bfloat16=config.dtype == "bfloat16"
        )  # (B, K)
        summed = preference_loss(
            rewards, w.to(rewards.device), loss=config.loss, centering=config.centering
        )
        part = summed / denominator
        if not part.isfinite():
            raise NonFiniteLoss(step, "loss")
        torch.autograd.backward(part)
        loss += part.item()
        for prompt, of_prompt in zip(group, rewards.tolist(), strict=True):
            counts += count_prompt(of_prompt, prompt.rankings)
            sums += RewardSums.of(of_prompt[: len(prompt.responses)])
        encoded, padded = _positions(group)
        tokens, padding = tokens + encoded, padding + padded

    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip).item()
    if not math.isfinite(norm):
        raise NonFiniteLoss(step, "gradient")
    optimizer.step()
    optimizer.zero_grad()
    return StepReport(
        step=step,
        total_steps=run.total_steps,
        loss=loss,
        counts=counts,
        learning_rate=optimizer.param_groups[0]["lr"],
        gradient_norm=norm,
        tokens=tokens,
        padding=padding,
        seconds=time.monotonic() - started,
        reward_mean=sums.mean,
        reward_spread=sums.spread,
    )


def _asking(
    run: PreparedRun, passes: Iterable[Sequence[EncodedPrompt]], finished: int
) -> Iterator[Sequence[EncodedPrompt]]:
    """The passes; between two of them a request to stop is heard.

    A step of a big model on a CPU takes minutes. Raises TrainingStopped, after so many
    finished steps.
    """
    for number, group in enumerate(passes):
        if number and run.listener.should_stop():
            raise TrainingStopped(finished)
        yield group


def _positions(prompts: Sequence[EncodedPrompt]) -> tuple[int, int]:
    """Tokens and padding positions of one pass: K rows a prompt, padded together."""
    lengths = [len(row) for prompt in prompts for row in prompt.rows()]
    return sum(lengths), len(lengths) * max(lengths) - sum(lengths)


def _evaluate(
    run: PreparedRun, split: str, prompts: Sequence[EncodedPrompt], progress: Progress
) -> Evaluation | None:
    """Scores a split and tells the listener; None for an empty one.

    A stop in its middle saves nothing: a checkpoint of this step would make the resume
    leave the evaluation out. The steps since the last checkpoint are made again.
    """
    if not prompts:
        return None
    passes = _asking(run, in_passes(prompts, run.config), progress.step)
    evaluation = evaluate(
        run.model, passes, config=run.config, split=split, step=progress.step
    )
    run.listener.on_evaluation(evaluation)
    return evaluation


def _resume(run: PreparedRun, optimizer: torch.optim.Optimizer) -> Progress:
    folder, skipped = newest_good_checkpoint(run.checkpoints, run.identity)
    for note in skipped:
        run.listener.on_note(note)
    if folder is None:
        return Progress()
    progress = resume(folder, model=run.model, optimizer=optimizer)
    run.listener.on_note(f"resumed after step {progress.step}")
    return progress


def _save(
    run: PreparedRun, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    if run.config.checkpoint_every and progress.step:
        save_checkpoint(
            run.checkpoints,
            model=run.model,
            optimizer=optimizer,
            progress=progress,
            identity=run.identity,
        )


@torch.no_grad()
def _check_reload(run: PreparedRun, folder: Path) -> None:
    """What transformers reads back from `folder` scores as our model does, to 1e-5.

    Through its own forward, which looks for padding where we know the lengths. Raises
    CheckpointError.
    """
    pad = run.tokenizer.pad_token_id
    sequences = list(run.train[0].rows())
    rows = pad_rows(sequences, pad_token_id=pad).to(run.model.device)
    ours = rewards_of_rows(run.model, rows)  # (K,)
    reloaded, missing = load_classifier(str(folder))
    logits = moved(reloaded, run.model.device)(
        input_ids=rows.input_ids, attention_mask=rows.attention_mask
    ).logits  # (K, 1)
    theirs = logits.squeeze(-1)
    if missing or not torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5):
        raise CheckpointError(
            f"the model read back from disk scores {theirs.tolist()} where the trained "
            f"one scores {ours.tolist()}; nothing was published"
        )
