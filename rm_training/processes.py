"""Several processes that train one model, as accelerate launch or torchrun start them.

Each holds the whole model and works on its share of a step's prompts; gradients are
added up, and all make the same step. There is no wrapper around the model: a run on one
device and a run on many read the same.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor

from rm_training.network import choose_device

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Which of how many this process is. All must make the same calls, in one order."""

    rank: int = 0
    """From 0, which is the main one: it alone writes, publishes and is listened to."""
    count: int = 1
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Every count-th item, beginning with the rank-th: this process's part.

        Neighbours go to different processes, so that a list in order of length gives
        each about the same work.
        """
        return items[self.rank :: self.count]

    def gather(self, mine: T) -> list[T]:
        """What each process gave, by rank. The values must be picklable."""
        if self.count == 1:
            return [mine]
        everyone: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(everyone, mine)
        return everyone

    def unshare(self, mine: Sequence[T]) -> list[T]:
        """The inverse of share: one result per item, in the order of all items."""
        parts = self.gather(list(mine))
        everything: list[Any] = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            everything[rank :: self.count] = part
        return everything

    def from_main(self, ask: Callable[[], T]) -> T:
        """The main process's answer; the others are not asked."""
        return self.gather(ask() if self.is_main else None)[0]  # type: ignore[return-value]

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its sum over the processes.

        A parameter that this process's share did not reach counts as zero.
        """
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        pending = [
            torch.distributed.all_reduce(gradient, async_op=True)
            for gradient in _gradients(parameters)
        ]
        for work in pending:
            if work is not None:
                work.wait()


def join_processes(device: str) -> Processes:
    """The processes of this run, after all have met; alone where none were launched.

    `device` as in the config: with auto, each process of a machine takes a GPU of its
    own. Raises ConfigError for a device that is not there.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(device=choose_device(device))
    # Slow to import, and needed by the few runs that were launched so.
    from accelerate import PartialState  # noqa: PLC0415

    state = PartialState(cpu=choose_device(device).type == "cpu")
    return Processes(
        rank=state.process_index, count=state.num_processes, device=state.device
    )


def speaks_for_all() -> bool:
    """Whether this process is the main one, told before or after they have met."""
    return int(os.environ.get("RANK", "0")) == 0


def _gradients(parameters: Iterable[torch.nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]
