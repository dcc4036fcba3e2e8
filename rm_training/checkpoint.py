"""The state on disk that a run resumes from.

Everything is safetensors or JSON; nothing here can execute what it reads.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from rm_training.config import TrainingConfig
from rm_training.errors import RunError
from rm_training.listener import Evaluation
from rm_training.manifest import (
    DamagedFolder,
    publishing,
    require_space,
    verify,
)

STATE: Final = "trainer_state.json"


class CheckpointError(RunError):
    """A checkpoint cannot be written or does not belong to this run."""


@dataclasses.dataclass
class Progress:
    """How far a run is; with model and optimizer, all that it resumes from.

    The order of the prompts is a function of (seed, step), so it needs no state.
    """

    step: int = 0
    """Finished optimizer steps."""
    tokens: int = 0
    """Encoded in training so far, padding not counted."""
    best: Evaluation | None = None
    best_weights: dict[str, Tensor] | None = None
    """Those that learn, as they were at the best evaluation, on the CPU; None: as they
    are now."""
    stale: int = 0
    """Evaluations on valid1 since the best one."""
    log: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Every step and evaluation so far, without times: equal runs, equal logs."""


def checkpoints_of(out: Path) -> Path:
    """The folder beside `out` that holds the checkpoints of the run that fills it."""
    return out.with_name(f"{out.name}.checkpoints")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one run: root/step-N."""

    root: Path
    identity: Mapping[str, str]
    """Names what the run is made of (hashes of data, config, template, tokenizer,
    base); a resume compares it."""
    kept: int
    """Newest ones that stay on disk. With two, one may turn out to be torn."""

    def save(
        self,
        model: PreTrainedModel,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
    ) -> None:
        """Writes root/step-N atomically and removes all but the newest.

        A whole step-N is left as it is: the same run would write the same. Later steps
        go first: this run resumed before them, so they were found to be damaged.

        Raises CheckpointError, also where the disk has too little room: then before a
        byte is written.
        """
        folder = self.root / f"step-{progress.step:08d}"
        for later in self.root.glob("step-*"):
            if later.name > folder.name:
                shutil.rmtree(later)
        if _is_whole(folder):
            return
        if folder.exists():  # a damaged one that the resume skipped
            shutil.rmtree(folder)
        files = _files(model, optimizer, progress)
        with disk_errors(folder):
            require_space(self.root, sum(map(_bytes, files.values())))
            with publishing(folder) as partial:
                for name, tensors in files.items():
                    save_file(tensors, partial / f"{name}.safetensors")
                state = _state(progress, self.identity)
                (partial / STATE).write_text(json.dumps(state, indent=2))
        for old in sorted(self.root.glob("step-*"))[: -self.kept]:
            shutil.rmtree(old)

    def require_room(self, model: PreTrainedModel, config: TrainingConfig) -> None:
        """Asks before hours of work whether the disk has room for what they leave.

        The published model, and as many checkpoints as are kept plus the one being
        written: each the weights that learn, twice that for Adam, and the best weights.
        Raises CheckpointError.
        """
        needed = _bytes(model.state_dict())
        if config.checkpoint_every:
            there = len(list(self.root.glob("step-*")))
            slots = max(1, self.kept + 1 - there)
            needed += slots * 4 * _bytes(learnt(model))
        with disk_errors(self.root):
            require_space(self.root, needed)

    def newest_good(self) -> tuple[Path | None, list[str]]:
        """The newest whole checkpoint, and why newer ones were skipped.

        Raises CheckpointError where it belongs to a run on other data, another config,
        template, tokenizer or base: the message names what differs.
        """
        skipped = []
        for folder in sorted(self.root.glob("step-*"), reverse=True):
            try:
                verify(folder)
                state = _read_state(folder)
            except DamagedFolder as error:
                skipped.append(f"skipped a damaged checkpoint: {error}")
                continue
            theirs = state["identity"]
            differs = [
                name
                for name in self.identity
                if self.identity[name] != theirs.get(name)
            ]
            if differs:
                raise CheckpointError(
                    f"the checkpoints in {self.root} are of another run: "
                    f"{', '.join(differs)} differ. Choose another output folder, or "
                    "remove them to start anew"
                )
            return folder, skipped
        return None, skipped


def resume(
    folder: Path, *, model: PreTrainedModel, optimizer: torch.optim.Optimizer
) -> Progress:
    """Loads a verified checkpoint into model and optimizer; training goes on bit-equal.

    `optimizer` must hold the model's parameters in their order, as when it was saved.
    """
    load_learnt(model, load_file(folder / "model.safetensors"))
    _load_optimizer(optimizer, load_file(folder / "optimizer.safetensors"))
    torch.set_rng_state(load_file(folder / "rng.safetensors")["cpu"])
    state, best = _read_state(folder), folder / "best.safetensors"
    return Progress(
        step=state["step"],
        tokens=state["tokens"],
        best=Evaluation.from_dict(state["best"]) if state["best"] else None,
        best_weights=load_file(best) if best.exists() else None,
        stale=state["stale"],
        log=state["log"],
    )


def learnt(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights that training changes; with LoRA, the adapters and the head."""
    frozen = {name for name, w in model.named_parameters() if not w.requires_grad}
    return {
        name: weight.detach().cpu().contiguous()
        for name, weight in model.state_dict().items()
        if name not in frozen
    }


def load_learnt(model: PreTrainedModel, weights: Mapping[str, Tensor]) -> None:
    """Puts back what `learnt` gave; the frozen weights stay as they are.

    Raises CheckpointError where it is another model's.
    """
    if weights.keys() != learnt(model).keys():
        raise CheckpointError("the checkpoint holds other weights than this model has")
    model.load_state_dict(weights, strict=False)


def discard_checkpoints(out: Path) -> None:
    """Removes the checkpoints of a run that is done or given up."""
    shutil.rmtree(checkpoints_of(out), ignore_errors=True)


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy, which further steps leave alone."""
    return {name: weight.clone() for name, weight in weights.items()}


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except DamagedFolder:
        return False
    return True


def _read_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / STATE).read_bytes())
    return state


def _files(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, progress: Progress
) -> dict[str, dict[str, Tensor]]:
    files = {
        "model": learnt(model),
        "optimizer": _optimizer_tensors(optimizer),
        "rng": {"cpu": torch.get_rng_state()},
    }
    if progress.best_weights is not None:
        files["best"] = progress.best_weights
    return files


def _state(progress: Progress, identity: Mapping[str, str]) -> dict[str, Any]:
    return {
        "step": progress.step,
        "tokens": progress.tokens,
        "best": progress.best and progress.best.to_dict(),
        "stale": progress.stale,
        "log": progress.log,
        "identity": dict(identity),
    }


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state, flat: "parameter index/exp_avg" and its like."""
    return {
        f"{index}/{name}": value.detach().cpu().contiguous()
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """What a disk refuses, as one CheckpointError that names the folder."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot write {folder}: {error}. What was there before is untouched"
        ) from error
