"""The HTML of whole prompts: made before anybody is shown them, and deleted with them.

So no labeler's page waits for Markdown. Nothing depends on it: a page renders what is
not there yet (`annotation.rendered`), so a message that the broker loses costs labelers
some milliseconds a prompt, and no more.
"""

from collections.abc import Collection
from typing import Final

from django.db import transaction

from annotation.models import Prompt, Response
from annotation.rendered import forget, write_down

PROMPTS_AT_ONCE: Final = 100  # about a second, for which the reconcilers wait


def render_some(import_id: int, *, after: int = 0) -> int | None:
    """Render the next prompts of an import, those with keys beyond `after`.

    Returns the key of the last one if there may be more, else None. Idempotent.
    """
    prompts = Prompt.objects.filter(came_with=import_id, pk__gt=after).order_by("pk")
    keys = list(prompts.values_list("pk", flat=True)[:PROMPTS_AT_ONCE])
    for key in keys:
        render_prompt(key)
    return keys[-1] if len(keys) == PROMPTS_AT_ONCE else None


@transaction.atomic
def render_prompt(prompt_id: int) -> None:
    """Write down the HTML of a prompt's messages and responses.

    1. Lock the prompt. Who takes it down or undoes its import has done so before this,
       and left nothing to read; or does so after it, and deletes the HTML too.
    2. One that is locked is passed over: somebody answers it, and their page has
       rendered it, or takes it out of the queue. Nobody's request is waited for.
    3. Read the texts under the lock, and write down what is missing.
    """
    unlocked = Prompt.objects.select_for_update(
        no_key=True, skip_locked=True, of=("self",)
    )
    if unlocked.only("pk").filter(pk=prompt_id).first() is not None:
        write_down(_texts([prompt_id]))


def forget_prompts(prompts: Collection[int]) -> None:
    """Delete the HTML of these prompts' texts. Part of the transaction that locks the
    prompts and deletes the texts, before it does."""
    forget(_texts(prompts))


def _texts(prompts: Collection[int]) -> list[str]:
    conversations = Prompt.objects.filter(pk__in=prompts)
    responses = Response.objects.filter(prompt__in=prompts)
    return [
        *(
            turn["content"]
            for messages in conversations.values_list("messages", flat=True)
            for turn in messages
        ),
        *responses.values_list("text", flat=True),
    ]
