"""How a labeler sees responses: as letters, in an order that says nothing of them."""

from collections.abc import Iterable

from annotation.models import Assignment, Response
from annotation.prepared import Given, Prepared

LETTERS = "ABCDEFGHI"
_RESPONSES = Prepared(
    lambda: Response.objects.only("external_id", "prompt_id").filter(
        prompt=Given("prompt")
    )
)
_TEXTS = Prepared(
    lambda: Response.objects.only("external_id", "prompt_id", "text").filter(
        prompt=Given("prompt")
    )
)


def responses_of(assignment: Assignment, *, texts: bool = False) -> list[Response]:
    """What is ranked, in no order: ids, and texts where they are wanted. One query."""
    return (_TEXTS if texts else _RESPONSES).run(prompt=assignment.prompt_id)


def in_id_order(responses: Iterable[Response]) -> list[Response]:
    """Responses sorted by id, code point by code point. `display_order` counts so.

    The database is not asked to sort: its collation may put the same ids in another
    order on another machine.
    """
    return sorted(responses, key=lambda response: response.external_id)


def as_shown(
    assignment: Assignment, responses: Iterable[Response]
) -> dict[str, Response]:
    """Letter → response for a claimed assignment, first shown first.

    `responses` are all responses of its prompt. With `display_order` `[2, 0, 1]`,
    A is the response with the greatest id, B the one with the smallest.
    """
    sorted_responses = in_id_order(responses)
    order = assignment.display_order or []
    return {
        letter: sorted_responses[place]
        for letter, place in zip(LETTERS, order, strict=False)
    }
