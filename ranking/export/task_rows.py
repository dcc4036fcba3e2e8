"""Prompts with their rankings as records of other labeling tools. PURE.

For those who go back, or who review there. One object a prompt in a JSON array, which
is what both tools import. Model names stay out of what their labelers may see.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from ranking.export.columns import Rows, Type, column
from ranking.export.held import HeldPrompt, Message, Said

# Argilla's users are UUIDs: a labeler's is made of this and of the pseudonym.
LABELERS: Final = uuid.UUID("5b1f6f0e-6a43-4d0a-9a0e-6f0a1d2c3b4a")


def rows_for_label_studio(prompts: Sequence[HeldPrompt]) -> Rows:
    """Label Studio tasks with an annotation for each ranking.

    The labeling configuration that they fit has a bucket for each possible rank:

        <View>
          <Text name="prompt" value="$prompt"/>
          <List name="responses" value="$items" title="Responses"/>
          <Ranker name="rank" toName="responses">
            <Bucket name="rank-1" title="1"/> <Bucket name="rank-2" title="2"/> …
          </Ranker>
        </View>

    A Ranker without buckets gives one list of ids, which cannot say that two are equal.
    With buckets it gives `{bucket: [ids]}`: equal responses share a bucket. Source:
    HumanSignal/label-studio, docs/source/tags/ranker.md, guide/task_format.md.

    There is no `completed_by`: it must name an account of that site by number or
    address, and the whole import is refused for one it does not know (`tasks/
    serializers.py`). `labeler`, which it passes over, holds the pseudonym.
    """
    return Rows(
        [
            column("data", Type.OBJECT, [_task_data(prompt) for prompt in prompts]),
            column("annotations", Type.OBJECT, [_annotations(one) for one in prompts]),
        ]
    )


def _task_data(prompt: HeldPrompt) -> dict[str, Any]:
    return {
        "prompt_id": prompt.id,
        "prompt": as_text(prompt.messages),
        "messages": prompt.messages,
        "items": [
            {"id": name, "title": f"Response {number}", "body": text}
            for number, (name, text) in enumerate(
                zip(prompt.response_ids, prompt.texts, strict=True), start=1
            )
        ],
        "split": prompt.split,
        "tags": prompt.tags,
    }


def _annotations(prompt: HeldPrompt) -> list[dict[str, Any]]:
    return [
        {
            "result": [_ranker_result(prompt, ranks)],
            "labeler": said.labeler,
            "unique_id": str(uuid.uuid5(LABELERS, f"{said.labeler} {prompt.id}")),
            "lead_time": said.seconds,
            "created_at": said.submitted_at,
            "was_cancelled": False,
            "ground_truth": False,
        }
        for ranks, said in _labeled(prompt)
    ]


def _ranker_result(prompt: HeldPrompt, ranks: list[int]) -> dict[str, Any]:
    buckets: dict[str, list[str]] = {
        f"rank-{rank}": [] for rank in range(1, len(ranks) + 1)
    }
    for name, rank in zip(prompt.response_ids, ranks, strict=True):
        buckets[f"rank-{rank}"].append(name)
    return {
        "from_name": "rank",
        "to_name": "responses",
        "type": "ranker",
        "value": {"ranker": buckets},
    }


def rows_for_argilla(prompts: Sequence[HeldPrompt]) -> Rows:
    """Argilla feedback records with a response to a ranking question for each ranking.

    Fields `prompt` and `response-1` … `response-K`; the question `ranking` has the
    names of the response fields as its values, and equal ranks are a tie. It is the
    layout of Argilla's API and of `FeedbackRecord`: the `Record.to_dict` of its newer
    client keeps no rank of a ranking, only an order, so it would lose the ties.
    Sources: argilla-io/argilla, docs/_source/practical_guides/create_update_dataset/
    suggestions_and_responses.md; argilla/src/argilla/responses.py.
    """
    return Rows(
        [
            column("external_id", Type.TEXT, [prompt.id for prompt in prompts]),
            column("fields", Type.OBJECT, [_fields(prompt) for prompt in prompts]),
            column("metadata", Type.OBJECT, [_metadata(prompt) for prompt in prompts]),
            column("responses", Type.OBJECT, [_answers(one) for one in prompts]),
        ]
    )


def _fields(prompt: HeldPrompt) -> dict[str, str]:
    responses = enumerate(prompt.texts, start=1)
    return {
        "prompt": as_text(prompt.messages),
        **{f"response-{number}": text for number, text in responses},
    }


def _metadata(prompt: HeldPrompt) -> dict[str, Any]:
    return {
        "response_ids": prompt.response_ids,
        "split": prompt.split,
        "tags": prompt.tags,
    }


def _answers(prompt: HeldPrompt) -> list[dict[str, Any]]:
    return [
        {
            "user_id": str(uuid.uuid5(LABELERS, said.labeler)),
            "status": "submitted",
            "values": {
                "ranking": {
                    "value": [
                        {"value": f"response-{number}", "rank": rank}
                        for number, rank in enumerate(ranks, start=1)
                    ]
                }
            },
        }
        for ranks, said in _labeled(prompt)
    ]


def as_text(messages: Sequence[Message]) -> str:
    """A prompt as one text: a lone user turn as it is, else turns under their roles."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return "\n\n".join(f"{turn['role']}:\n{turn['content']}" for turn in messages)


def _labeled(prompt: HeldPrompt) -> list[tuple[list[int], Said]]:
    return list(zip(prompt.orders, prompt.said, strict=True))
