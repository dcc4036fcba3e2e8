"""Made-up rankings with a rule that a tiny model can learn in seconds."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from rm_training.data import Example

WORDS = ("capital", "sea", "wind", "egg", "poem", "city", "water", "earth")
GOOD, BAD = "Thank you", "cold night"


def make_example(
    prompt_id: str = "p1",
    *,
    responses: Sequence[str] = ("good", "middling", "bad"),
    rankings: Sequence[Sequence[int]] = ((1, 2, 3),),
    split: str | None = None,
    prompt: str | None = None,
) -> Example:
    """One prompt; its text holds its id unless given."""
    return Example(
        prompt_id=prompt_id,
        messages=({"role": "user", "content": prompt or f"Question {prompt_id}?"},),
        response_ids=tuple(f"r{k}" for k in range(len(responses))),
        responses=tuple(responses),
        rankings=tuple(tuple(ranks) for ranks in rankings),
        split=split,
    )


def polite_preferences(prompts: int, *, seed: int = 0) -> list[Example]:
    """K = 4 to 6 responses; those that end in thanks are better, the rest is noise.

    Four fifths are train, then a tenth each valid1 and valid2. Every prompt has both
    kinds of response, so every ranking has a strict pair and most have ties.
    """
    draw = random.Random(seed)
    examples = []
    for number in range(prompts):
        polite = [True, False] + [
            draw.random() < 0.5 for _ in range(draw.randint(2, 4))
        ]
        draw.shuffle(polite)
        share = number / prompts
        examples.append(
            make_example(
                f"p{number:03d}",
                prompt=f"Write of the {draw.choice(WORDS)}, number {number}.",
                responses=[_response(draw, polite=good) for good in polite],
                rankings=[[1 if good else 2 for good in polite]],
                split="train" if share < 0.8 else "valid1" if share < 0.9 else "valid2",
            )
        )
    return examples


def _response(draw: random.Random, *, polite: bool) -> str:
    words = draw.choices(WORDS, k=draw.randint(2, 6))
    return " ".join([*words, GOOD if polite else BAD])


def write_rankings(folder: Path, examples: Iterable[Example]) -> Path:
    """The examples as a rankings export, a line for each ranking."""
    folder.mkdir()
    with (folder / "rankings.jsonl").open("w") as file:
        for example in examples:
            responses = [
                {"id": key, "text": text, "model": "m"}
                for key, text in zip(
                    example.response_ids, example.responses, strict=True
                )
            ]
            for ranks in example.rankings:
                row = {
                    "prompt_id": example.prompt_id,
                    "prompt": list(example.messages),
                    "responses": responses,
                    "ranks": [rank or None for rank in ranks],
                    "labeler": "L-00000000",
                    "split": example.split,
                }
                file.write(json.dumps(row) + "\n")
    return folder
