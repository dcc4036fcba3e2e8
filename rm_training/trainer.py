"""Trains a reward model. The loop is ours and reads from top to bottom."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rm_training.batch import EncodedPrompt, pad_rows
from rm_training.checkpoint import (
    CheckpointError,
    Progress,
    copied,
    learnt,
    load_learnt,
    resume,
)
from rm_training.config import TrainingConfig
from rm_training.data import Example
from rm_training.heldout import (
    better,
    evaluate,
    in_passes,
    longest_first,
    score_passes,
)
from rm_training.judging import evaluation_of_run
from rm_training.listener import (
    Evaluation,
    TrainingListener,
    TrainingResult,
    TrainingStopped,
)
from rm_training.manifest import check_output, discard_partials
from rm_training.memory import merge_adapters, trainable
from rm_training.preparation import PreparedRun, prepare
from rm_training.published import check_reload, publish
from rm_training.record import meta_of, papers_of
from rm_training.schedule import learning_rate, prompts_of_step
from rm_training.training_step import asking, training_step


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
    run = prepare(examples, base=base, out=out, config=config, listener=listener)
    if run.processes.is_main:
        discard_partials(out)
        run.checkpoints.require_room(run.model, config)
    for note in run.notes:
        run.listener.on_note(note)

    progress = _optimise(run)
    if progress.best_weights is not None:
        load_learnt(run.model, progress.best_weights)
    merge_adapters(run.model)
    valid2 = _evaluate(run, "valid2", run.valid2, progress)
    meta = meta_of(run, progress=progress, valid2=valid2, bias=_bias(run, progress))
    evaluation: dict[str, Any] = {}
    if run.processes.is_main:
        known = {"valid1": progress.best, "valid2": valid2}
        evaluation = evaluation_of_run(run, examples, known=known, step=progress.step)
        pad = run.tokenizer.pad_token_id
        rows = pad_rows(list(run.train[0].rows()), pad_token_id=pad)
        publish(
            run.model,
            run.tokenizer,
            papers=papers_of(meta, evaluation, progress.log),
            out=out,
            check=lambda folder: check_reload(run.model, rows, folder),
        )
    run.processes.gather(None)  # nobody leaves before the model is there
    return TrainingResult(
        folder=out,
        steps=progress.step,
        best_step=meta["metrics"]["best_step"],
        valid1=progress.best,
        valid2=valid2,
        notes=run.notes,
        meta=meta,
        evaluation=evaluation,
    )


def _optimise(run: PreparedRun) -> Progress:
    """The training loop: from the newest checkpoint, or from the start, to the end."""
    config, model, listener = run.config, run.model, run.listener
    optimizer = torch.optim.AdamW(
        trainable(model), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    progress = _resume(run, optimizer)
    while progress.step < run.total_steps and not _is_stale(progress, config):
        if run.processes.from_main(listener.should_stop):
            _save(run, optimizer, progress)
            raise TrainingStopped(progress.step)

        step = progress.step  # from 0
        rate = learning_rate(step, total=run.total_steps, config=config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = prompts_of_step(step, prompts=len(run.train), config=config)
        try:
            prompts = [run.train[i] for i in chosen]
            report = training_step(run, optimizer, prompts, step=step + 1)
        except TrainingStopped:  # nothing of the unfinished step stays
            optimizer.zero_grad()
            _save(run, optimizer, progress)
            raise
        progress.step += 1
        progress.tokens += report.tokens
        progress.log.append(report.to_log())
        listener.on_step(report)

        last = progress.step == run.total_steps
        if last or progress.step % config.eval_every == 0:
            _select(run, progress)
        every = config.checkpoint_every
        if every and progress.step % every == 0 and not last:
            _save(run, optimizer, progress)
    _tell_early_end(run, progress)
    return progress


def _select(run: PreparedRun, progress: Progress) -> None:
    """Scores valid1 and remembers the weights, if they are the best so far."""
    valid1 = _evaluate(run, "valid1", run.valid1, progress)
    if valid1 is None or valid1.loss is None:
        return  # nothing to select by, and nothing to grow stale
    if better(valid1, progress.best):
        last = progress.step == run.total_steps
        progress.best, progress.stale = valid1, 0
        progress.best_weights = None if last else copied(learnt(run.model))
    else:
        progress.stale += 1


def _is_stale(progress: Progress, config: TrainingConfig) -> bool:
    return 0 < config.patience <= progress.stale


def _tell_early_end(run: PreparedRun, progress: Progress) -> None:
    if progress.step < run.total_steps:
        run.listener.on_note(
            f"stopped early after step {progress.step} of {run.total_steps}: "
            f"{progress.stale} evaluations on valid1 were no better than the best"
        )


def _evaluate(
    run: PreparedRun, split: str, prompts: Sequence[EncodedPrompt], progress: Progress
) -> Evaluation | None:
    """Scores a split and tells the listener; None for an empty one.

    A stop in its middle saves nothing: a checkpoint of this step would make the resume
    leave the evaluation out. The steps since the last checkpoint are made again.
    """
    if not prompts:
        return None
    evaluation = evaluate(
        prompts,
        _rewards(run, prompts, progress),
        config=run.config,
        split=split,
        step=progress.step,
    )
    progress.log.append(evaluation.to_dict())
    run.listener.on_evaluation(evaluation)
    return evaluation


def _rewards(
    run: PreparedRun, prompts: Sequence[EncodedPrompt], progress: Progress
) -> list[list[float]]:
    """The rewards of each prompt, each scored once, by one of the processes."""
    order = longest_first(prompts)
    mine = [prompts[i] for i in run.processes.share(order)]
    passes = asking(run, in_passes(mine, run.config), progress.step)
    scored = run.processes.unshare(score_passes(run.model, passes, run.config))
    by_index = dict(zip(order, scored, strict=True))
    return [by_index[i] for i in range(len(prompts))]


def _bias(run: PreparedRun, progress: Progress) -> dict[str, Any] | None:
    """The zero point that meta.json stores; None without a reference."""
    if run.reference is None:
        return None
    return run.reference.bias(_rewards(run, run.reference.prompts, progress))


def _resume(run: PreparedRun, optimizer: torch.optim.Optimizer) -> Progress:
    """From the newest good checkpoint, which all processes must find.

    Raises CheckpointError where they stand at different steps.
    """
    folder, skipped = run.checkpoints.newest_good()
    for note in skipped:
        run.listener.on_note(note)
    progress = Progress()
    if folder is not None:
        progress = resume(folder, model=run.model, optimizer=optimizer)
        run.listener.on_note(f"resumed after step {progress.step}")
    steps = set(run.processes.gather(progress.step))
    if len(steps) > 1:
        raise CheckpointError(
            f"the processes of this run would go on after different steps, "
            f"{sorted(steps)}: they must see the same folder {run.checkpoints.root}"
        )
    return progress


def _save(
    run: PreparedRun, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    if run.config.checkpoint_every and progress.step and run.processes.is_main:
        run.checkpoints.save(run.model, optimizer, progress)
