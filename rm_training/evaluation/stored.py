"""The evaluation that lies in a reward model's folder. PURE."""

import json
from pathlib import Path
from typing import Any, Final

EVALUATION: Final = "evaluation.json"


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """evaluation.json of a published model; None for one from before there was any."""
    file = folder / EVALUATION
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found
