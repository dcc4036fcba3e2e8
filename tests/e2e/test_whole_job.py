"""From an SFT model to rewards: every process real, only the model tiny."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.stack import Stack
from tests.e2e.whole_job import WholeJob
from tests.tiny_model import make_tiny_sft


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path / "var")
    try:
        make_tiny_sft(running.var_dir / "models" / "tiny-sft")
        running.start()
        yield running
    finally:
        running.stop()


@pytest.mark.browser
def test_from_an_sft_model_to_the_rewards_of_the_model_it_became(
    stack: Stack, browser: Browser, tmp_path: Path
) -> None:
    job = WholeJob(stack, browser, seconds=120)
    chosen, rejected = job.run(
        tmp_path, Learning_rate="0.003", Epochs="2", Prompts_per_step="2"
    )
    assert chosen != rejected
