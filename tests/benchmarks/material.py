"""Prompts of the size that InstructGPT's labelers ranked: nine responses, 7.9 kB.

The words are those of the licence, as often as they stand there, so that the texts
compress about as prose does and are the same on every machine and in every version.
"""

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLUG = "bench"  # of the project they are imported into
FLAGS = ("Fails the instruction", "Hallucination", "Harmful")
K = 9
BYTES = 7_900  # of the prompt's text and its nine responses together
PROMPT_BYTES = 700
RESPONSE_BYTES = (BYTES - PROMPT_BYTES) // K
WORD = re.compile(r"[a-z]{2,}")


def prompt_lines(count: int, *, seed: int = 3) -> Iterator[str]:
    """`count` lines for `import_prompts`; every text is another one."""
    rng = random.Random(seed)
    for number in range(count):
        responses = [
            {"id": f"r{place}", "text": text_of(RESPONSE_BYTES, rng), "model": "sft"}
            for place in range(K)
        ]
        prompt = text_of(PROMPT_BYTES, rng)
        yield json.dumps({"id": f"b{number}", "prompt": prompt, "responses": responses})


def text_of(size: int, rng: random.Random) -> str:
    """Markdown of exactly `size` ASCII bytes: sentences, a list, something bold."""
    text = f"{_sentence(rng)} **{_sentence(rng)}**\n\n"
    text += "".join(f"- {_sentence(rng)}\n" for _ in range(3)) + "\n"
    while len(text) < size:
        text += _sentence(rng) + (" " if rng.random() < 0.8 else "\n\n")
    return text[: size - 1].rstrip().ljust(size - 1, "x") + "."


def _sentence(rng: random.Random) -> str:
    words = rng.choices(_words(), k=rng.randint(6, 16))
    return " ".join(words).capitalize() + "."


@cache
def _words() -> list[str]:
    return WORD.findall((ROOT / "LICENSE").read_text().lower())
