"""Label Studio's JSON export of projects with List and Ranker tags. PURE.

Layouts: https://labelstud.io/guide/task_format (tasks, annotations) and
https://labelstud.io/tags/ranker (results): a task has `data` with a list of items
(`id`, `title`, `body`, `html`) and `annotations`, each by one person (`completed_by`),
whose result of the type `ranker` holds the ids of the items, best first:
`{"ranker": {"rank": ["mdn", "wiki", "blog"]}}`. Older versions have the list itself.
Items sorted into several buckets have no order that the export tells, and are refused;
but for buckets called `rank-1`, `rank-2`, …, as in our own export: those who share one
are tied.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from annotation.json_fields import a_list
from annotation.strict_json import Refused
from ranking.foreign.dialogue import prompt_of
from ranking.foreign.judged import Answer, Judged, Order, a_text, first_of, name_of

NAME: Final = "label-studio"
PROMPTS: Final = ("messages", "prompt", "question", "instruction", "text", "query")
BUCKET: Final = re.compile(r"rank-([1-9]\d?)")
TEXTS: Final = ("body", "html", "title", "text")


def read(record: dict[str, Any]) -> list[Judged]:
    """A task with what its annotators made of it. Raises Refused."""
    data = record.get("data")
    if not isinstance(data, dict):
        raise Refused("missing_field", "the task has no object 'data'")
    field, items = _items(data)
    answers = [_answer(item) for item in items]
    orders = [
        order
        for annotation in a_list(record, "annotations")
        if (order := _order(annotation, [item["id"] for item in items])) is not None
    ]
    prompt = prompt_of(_prompt(data, field), "the prompt")
    # Of a task that our own export made, the name that the prompt had here.
    given = name_of(data.get("prompt_id")) or name_of(record.get("id"))
    return [Judged(prompt, answers, orders, id=given)]


def _items(data: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The one list of objects with ids."""
    found = [
        (name, value)
        for name, value in data.items()
        if isinstance(value, list)
        and value
        and all(isinstance(item, dict) and "id" in item for item in value)
    ]
    if len(found) != 1:
        raise Refused(
            "missing_field", f"'data' holds {len(found)} lists of items, not one"
        )
    return found[0]


def _prompt(data: dict[str, Any], items: str) -> Any:
    known = first_of({name: data[name] for name in data if name != items}, PROMPTS)
    if known is not None:
        return known
    texts = [value for value in data.values() if isinstance(value, str)]
    if len(texts) != 1:
        raise Refused("missing_field", "'data' does not tell which field is the prompt")
    return texts[0]


def _answer(item: dict[str, Any]) -> Answer:
    text = a_text(first_of(item, TEXTS), "an item's body")
    return Answer(text, name_of(item.get("model")), name_of(item["id"]))


def _order(annotation: Any, ids: list[Any]) -> Order | None:
    """None for one that was cancelled, or that ranks nothing."""
    if not isinstance(annotation, dict):
        raise Refused("wrong_type", "an annotation is not an object")
    ranked = _ranked(annotation)
    if annotation.get("was_cancelled") or ranked is None:
        return None
    if sorted(name for name, _ in ranked) != sorted(map(str, ids)):
        raise Refused("incomplete", "an annotation does not rank each item once")
    places = dict(ranked)
    return Order(
        _annotator(first_of(annotation, ["labeler", "completed_by"])),
        [places[str(name)] for name in ids],
        id=name_of(first_of(annotation, ["id", "unique_id"])),
        seconds=annotation.get("lead_time"),
        submitted_at=annotation.get("created_at"),
    )


def _ranked(annotation: dict[str, Any]) -> list[tuple[str, int]] | None:
    """(item, rank) of all that is ranked; None where there is no ranker."""
    results = [
        result["value"].get("ranker")
        for result in a_list(annotation, "result")
        if isinstance(result, dict)
        and result.get("type") == "ranker"
        and isinstance(result.get("value"), dict)
    ]
    if not results:
        return None
    ranked = results[-1]
    if not isinstance(ranked, dict):
        return [(name, place) for place, name in enumerate(_items_of(ranked), 1)]
    if len(ranked) == 1:
        (only,) = ranked.values()
        return [(name, place) for place, name in enumerate(_items_of(only), 1)]
    return list(_of_buckets(ranked))


def _of_buckets(ranked: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for bucket, names in ranked.items():
        place = BUCKET.fullmatch(bucket)
        if place is None:
            raise Refused("wrong_type", "buckets: the export does not tell their order")
        yield from ((name, int(place[1])) for name in _items_of(names))


def _items_of(names: Any) -> list[str]:
    if not isinstance(names, list):
        raise Refused("wrong_type", "the ranker's value is not a list of items")
    return [str(name) for name in names]


def _annotator(completed_by: Any) -> str:
    """An account's email where the export tells it, else its number."""
    if isinstance(completed_by, dict):
        completed_by = first_of(completed_by, ["email", "username", "id"])
    name = name_of(completed_by)
    if name is None:
        return NAME
    return f"annotator {name}" if name.isdigit() else name
