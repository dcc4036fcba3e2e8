"""What the card says of the very rankings that an export holds."""

from typing import Any

import numpy as np
from django.db.models import Count

from annotation.models import Prompt
from ranking.agreement import headline
from ranking.export.reading import rankings_held
from ranking.judgements import judgements, rank_table
from ranking.models import Dataset

Facts = dict[str, Any]


def facts_of(dataset: Dataset, split: str = "all") -> Facts:
    """Agreement, tie rate, prompts by K and by split. Five queries.

    `agreement` is the project's headline, the share of equal orderings over response
    pairs that two labelers both ordered strictly, with its 95 % interval over prompts;
    `value` is None where no two labelers ranked the same prompt. The same rankings give
    the same numbers.
    """
    held = rankings_held(dataset, split)
    found = judgements(held)
    nobody = np.zeros(0, np.int64)
    labelers = np.unique(np.concatenate([nobody, *(rows.labeler for rows in found)]))
    numbers = headline(
        [rank_table(rows, labelers) for rows in found],
        labelers=[str(pk) for pk in labelers.tolist()],
    )
    strict = numbers["strict"]
    return {
        "licence": dataset.project.data_licence,
        "prompts": sum(len(np.unique(rows.prompt)) for rows in found),
        "labelers": len(labelers),
        "rankings": sum(len(rows.prompt) for rows in found),
        "agreement": {name: strict[name] for name in ("value", "ci", "comparable")},
        "tie_rate": {
            "value": numbers["tie_rate"],
            "ci": numbers["intervals"]["tie_rate"],
        },
        "prompts_by_k": {
            str(rows.ranks.shape[1]): len(np.unique(rows.prompt)) for rows in found
        },
        "prompts_by_split": _by_split(held),
    }


def _by_split(held: Any) -> dict[str, int]:
    prompts = Prompt.objects.filter(pk__in=held.values("assignment__prompt"))
    counted = prompts.values_list("promptsplit__split").annotate(Count("pk"))
    return dict(counted.order_by("promptsplit__split"))
