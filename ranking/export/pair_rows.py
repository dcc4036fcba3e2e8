"""Rows of preferences: one response chosen, another one rejected. PURE.

The same pairs in three layouts. Texts stay what they were; what a trainer does not ask
for stands in columns that it passes over.
"""

from collections.abc import Sequence

import numpy as np

from ranking.export.columns import Column, Rows, Type, Values, column, few
from ranking.export.held import HeldPrompt, Message
from ranking.export.preferences import Preferences
from ranking.rank_table import IntArray


def rows_of_pairs(
    prompts: Sequence[HeldPrompt], pairs: Preferences, origin: Sequence[Column]
) -> Rows:
    """TRL's preference layout, conversational, with an explicit prompt, as its
    RewardTrainer and DPOTrainer read it (TRL documentation, Dataset formats)."""
    responses = _Responses(prompts, pairs)
    return Rows(
        [
            _prompts("prompt", prompts, pairs),
            *responses.turns,
            *origin,
            *responses.ids,
            *_gaps("rank_gap", pairs),
            *_shares(pairs),
            *_weights(prompts, pairs),
        ],
        pairs.left_open,
    )


def rows_for_openrlhf(
    prompts: Sequence[HeldPrompt], pairs: Preferences, origin: Sequence[Column]
) -> Rows:
    """OpenRLHF's preference layout: `--apply_chat_template --prompt_key prompt
    --chosen_key chosen --rejected_key rejected` joins the lists of messages.

    It takes a column `margin` as that of its `--margin_loss`: here the difference of
    ranks, where there is one. Source: OpenRLHF, openrlhf/datasets/reward_dataset.py,
    `preprocess_data`.
    """
    return Rows(
        [
            _prompts("prompt", prompts, pairs),
            *_Responses(prompts, pairs).turns,
            *_gaps("margin", pairs),
            *origin,
            *_shares(pairs),
            *_weights(prompts, pairs),
        ],
        pairs.left_open,
    )


def rows_for_nemo(
    prompts: Sequence[HeldPrompt], pairs: Preferences, origin: Sequence[Column]
) -> Rows:
    """NeMo RL's preference layout: `context`, and `completions` of which a lower rank
    is preferred.

    The layout has room for more than two completions, but its trainers take exactly
    two, the preferred of rank 0 and the rejected of rank 1; so a row is a pair. Source:
    NVIDIA-NeMo/RL, docs/guides/rm.md and docs/guides/dpo.md, Datasets.
    """
    return Rows(
        [
            _prompts("context", prompts, pairs),
            _Responses(prompts, pairs).completions,
            *origin,
            *_shares(pairs),
            *_weights(prompts, pairs),
        ],
        pairs.left_open,
    )


class _Responses:
    """The two responses of each pair."""

    def __init__(self, prompts: Sequence[HeldPrompt], pairs: Preferences) -> None:
        begins = np.cumsum([0, *(prompt.k for prompt in prompts)])
        self._texts = [text for prompt in prompts for text in prompt.texts]
        self._ids = [name for prompt in prompts for name in prompt.response_ids]
        self._chosen: IntArray = begins[pairs.prompt] + pairs.chosen
        self._rejected: IntArray = begins[pairs.prompt] + pairs.rejected

    @property
    def turns(self) -> list[Column]:
        """`chosen`, `rejected`: each one turn of the assistant's."""
        turns = Values(Type.TURN, self._texts)
        return [
            Column("chosen", turns, self._chosen),
            Column("rejected", turns, self._rejected),
        ]

    @property
    def ids(self) -> list[Column]:
        """`chosen_id`, `rejected_id`."""
        ids = Values(Type.TEXT, self._ids)
        return [
            Column("chosen_id", ids, self._chosen),
            Column("rejected_id", ids, self._rejected),
        ]

    @property
    def completions(self) -> Column:
        """Both under their ranks, the preferred one first."""
        places = zip(self._chosen.tolist(), self._rejected.tolist(), strict=True)
        both = [
            [
                {"rank": rank, "completion": [self._turn(place)]}
                for rank, place in enumerate(pair)
            ]
            for pair in places
        ]
        return column("completions", Type.COMPLETIONS, both)

    def _turn(self, place: int) -> Message:
        return {"role": "assistant", "content": self._texts[place]}


def _prompts(name: str, prompts: Sequence[HeldPrompt], pairs: Preferences) -> Column:
    messages = Values(Type.MESSAGES, [prompt.messages for prompt in prompts])
    return Column(name, messages, pairs.prompt)


def _gaps(name: str, pairs: Preferences) -> list[Column]:
    return [] if pairs.rank_gap is None else [few(name, Type.INTEGER, pairs.rank_gap)]


def _shares(pairs: Preferences) -> list[Column]:
    return [] if pairs.share is None else [few("share", Type.NUMBER, pairs.share)]


def _weights(prompts: Sequence[HeldPrompt], pairs: Preferences) -> list[Column]:
    """`weight`, `prompt_weight`, `split`."""
    splits = Values(Type.TEXT, [prompt.split for prompt in prompts])
    return [
        few("weight", Type.NUMBER, pairs.weight),
        few("prompt_weight", Type.NUMBER, pairs.prompt_weight),
        Column("split", splits, pairs.prompt),
    ]
