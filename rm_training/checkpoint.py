"""Weights on disk: the published reward model, and the state that a run resumes from.

Everything is safetensors or JSON; nothing here can execute what it reads.
"""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rm_training.errors import RunError
from rm_training.listener import Evaluation
from rm_training.loading import quiet_transformers
from rm_training.manifest import DamagedFolder, file_sha256, publishing, verify

META: Final = "meta.json"
_KEPT: Final = 2
"""Checkpoints of a run that stay on disk: one may turn out to be torn."""


class CheckpointError(RunError):
    """A checkpoint cannot be written or does not belong to this run."""


def publish(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    papers: Mapping[str, str],
    out: Path,
    check: Callable[[Path], None],
) -> None:
    """Writes the reward model to `out` in one atomic step, or not at all.

    save_pretrained's config, safetensors and tokenizer (with the chat template), plus
    the papers (texts by file name) and manifest.json. `check` is called with the folder
    before it gets its name, and refuses it by raising.

    Raises OutputRefused; CheckpointError where the disk refuses.
    """
    with _disk_errors(out), publishing(out) as folder:
        with quiet_transformers():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        for name, text in papers.items():
            (folder / name).write_text(text)
        check(folder)


def read_meta(folder: Path) -> dict[str, Any]:
    """meta.json of a published model. Raises DamagedFolder."""
    try:
        meta = json.loads((folder / META).read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedFolder(f"{folder}: {META} cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise DamagedFolder(f"{folder}: {META} is no JSON object")
    return meta


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over the files that the tokenizer saves."""
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        hashes = [f"{path.name} {file_sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


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
    """Of the best evaluation, on the CPU."""


def checkpoints_of(out: Path) -> Path:
    """The folder beside `out` that holds the checkpoints of the run that fills it."""
    return out.with_name(f"{out.name}.checkpoints")


def save_checkpoint(
    root: Path,
    *,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    identity: Mapping[str, str],
) -> None:
    """Writes root/step-N atomically and removes all but the newest two.

    A whole step-N is left as it is: the same run would write the same. Later steps
    go first: this run resumed before them, so they were found to be damaged.

    `identity` names what the run is made of (hashes of data, config, template,
    tokenizer, base); a resume compares it. Raises CheckpointError.
    """
    folder = root / f"step-{progress.step:08d}"
    for later in root.glob("step-*"):
        if later.name > folder.name:
            shutil.rmtree(later)
    if _is_whole(folder):
        return
    if folder.exists():  # a damaged one that the resume skipped
        shutil.rmtree(folder)
    with _disk_errors(folder), publishing(folder) as partial:
        save_file(_cpu(model.state_dict()), partial / "model.safetensors")
        save_file(_optimizer_tensors(optimizer), partial / "optimizer.safetensors")
        save_file({"cpu": torch.get_rng_state()}, partial / "rng.safetensors")
        if progress.best_weights is not None:
            save_file(progress.best_weights, partial / "best.safetensors")
        state = {
            "step": progress.step,
            "tokens": progress.tokens,
            "best": progress.best and progress.best.to_dict(),
            "identity": dict(identity),
        }
        (partial / "trainer_state.json").write_text(json.dumps(state, indent=2))
    for old in sorted(root.glob("step-*"))[:-_KEPT]:
        shutil.rmtree(old)


def newest_good_checkpoint(
    root: Path, identity: Mapping[str, str]
) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint under root, and why newer ones were skipped.

    Raises CheckpointError where it belongs to a run on other data, another config,
    template, tokenizer or base: the message names what differs.
    """
    skipped = []
    for folder in sorted(root.glob("step-*"), reverse=True):
        try:
            verify(folder)
            state = _read_state(folder)
        except DamagedFolder as error:
            skipped.append(f"skipped a damaged checkpoint: {error}")
            continue
        theirs = state["identity"]
        differs = [name for name in identity if identity[name] != theirs.get(name)]
        if differs:
            raise CheckpointError(
                f"the checkpoints in {root} are of another run: {', '.join(differs)} "
                "differ. Choose another output folder, or remove them to start anew"
            )
        return folder, skipped
    return None, skipped


def resume(
    folder: Path, *, model: PreTrainedModel, optimizer: torch.optim.Optimizer
) -> Progress:
    """Loads a verified checkpoint into model and optimizer; training goes on bit-equal.

    `optimizer` must hold the model's parameters in their order, as when it was saved.
    """
    model.load_state_dict(load_file(folder / "model.safetensors"))
    _load_optimizer(optimizer, load_file(folder / "optimizer.safetensors"))
    torch.set_rng_state(load_file(folder / "rng.safetensors")["cpu"])
    state, best = _read_state(folder), folder / "best.safetensors"
    return Progress(
        step=state["step"],
        tokens=state["tokens"],
        best=Evaluation.from_dict(state["best"]) if state["best"] else None,
        best_weights=load_file(best) if best.exists() else None,
    )


def discard_checkpoints(out: Path) -> None:
    """Removes the checkpoints of a run that is done or given up."""
    shutil.rmtree(checkpoints_of(out), ignore_errors=True)


def cpu_weights(model: PreTrainedModel) -> dict[str, Tensor]:
    """A copy of the weights on the CPU, which further steps leave alone."""
    return {
        name: weight.detach().cpu().clone()
        for name, weight in model.state_dict().items()
    }


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except DamagedFolder:
        return False
    return True


def _read_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / "trainer_state.json").read_bytes())
    return state


def _cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()
    }


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
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot write {folder}: {error}. What was there before is untouched"
        ) from error
