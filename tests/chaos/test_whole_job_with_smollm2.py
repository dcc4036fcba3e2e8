"""The whole job once more, from a real SFT model: SmolLM2-135M-Instruct."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.stack import Stack
from tests.e2e.whole_job import WholeJob


@pytest.fixture
def stack(smollm2: Path, tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path / "var")
    # Links to the same files.
    shutil.copytree(
        smollm2, running.var_dir / "models" / smollm2.name, copy_function=os.link
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.mark.browser
@pytest.mark.timeout(1500)
def test_from_smollm2_to_the_rewards_of_the_model_it_became(
    stack: Stack, browser: Browser, tmp_path: Path
) -> None:
    job = WholeJob(stack, browser, seconds=900)
    chosen, rejected = job.run(
        tmp_path, Prompts_per_step="2", Steps_at_most="2", Epochs="1"
    )
    assert chosen != rejected
