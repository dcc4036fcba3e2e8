"""One optimizer step: passes that fit into memory, one gradient, one report."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence

import torch

from rm_training.batch import EncodedPrompt, pad_ranks
from rm_training.heldout import in_passes, longest_first
from rm_training.listener import NonFiniteLoss, StepReport, TrainingStopped
from rm_training.loss import loss_denominator, pair_targets, preference_loss
from rm_training.memory import trainable
from rm_training.network import positions_of_prompts, rewards_of_prompts
from rm_training.preparation import PreparedRun
from rm_training.step_sums import StepSums, sums_of_pass


def training_step(
    run: PreparedRun,
    optimizer: torch.optim.Optimizer,
    prompts: Sequence[EncodedPrompt],
    *,
    step: int,
) -> StepReport:
    """One optimizer step on these prompts, in passes that fit into memory.

    Each pass is divided by the denominator of the whole step, so the passes of all
    processes add up to the gradient of one big batch, whatever K and ties they hold.

    Raises NonFiniteLoss before the weights change, and TrainingStopped, see `asking`.
    """
    config, model, started = run.config, run.model, time.monotonic()
    everything = pair_targets(pad_ranks(prompts), config).weights
    denominator = loss_denominator(everything, config.loss).item()
    mine = [prompts[i] for i in run.processes.share(longest_first(prompts))]
    sums = StepSums()

    for group in asking(run, in_passes(mine, config), step - 1):
        rewards = rewards_of_prompts(
            model, group, bfloat16=config.dtype == "bfloat16"
        )  # (B, K)
        targets = pair_targets(pad_ranks(group), config)
        part = (
            preference_loss(
                rewards,
                targets.weights,
                loss=config.loss,
                centering=config.centering,
                margins=targets.margins,
            )
            / denominator
        )
        torch.autograd.backward(part)
        sums += sums_of_pass(
            group,
            loss=part.item(),
            rewards=rewards.tolist(),
            encoded=positions_of_prompts(model, group),
        )

    total = sum(run.processes.gather(sums), StepSums())
    if not math.isfinite(total.loss):
        raise NonFiniteLoss(step, "loss")
    run.processes.add_gradients(trainable(model))
    norm = torch.nn.utils.clip_grad_norm_(trainable(model), config.clip).item()
    if not math.isfinite(norm):
        raise NonFiniteLoss(step, "gradient")
    optimizer.step()
    optimizer.zero_grad()
    return StepReport(
        step=step,
        total_steps=run.total_steps,
        loss=total.loss,
        counts=total.counts,
        learning_rate=optimizer.param_groups[0]["lr"],
        gradient_norm=norm,
        tokens=total.tokens,
        padding=total.padding,
        seconds=time.monotonic() - started,
        reward_mean=total.rewards.mean,
        reward_spread=total.rewards.spread,
    )


def asking(
    run: PreparedRun, passes: Iterable[Sequence[EncodedPrompt]], finished: int
) -> Iterator[Sequence[EncodedPrompt]]:
    """The passes; between two of them a request to stop is heard.

    A step of a big model on a CPU takes minutes. Several processes are asked between
    steps only, where all are at the same place. Raises TrainingStopped, after so many
    finished steps.
    """
    for number, group in enumerate(passes):
        if number and run.processes.count == 1 and run.listener.should_stop():
            raise TrainingStopped(finished)
        yield group
