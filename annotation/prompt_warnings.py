"""What a reader should know of a line that is imported all the same."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

from annotation.prompt_lines import PromptLine, ResponseLine
from annotation.text_signs import is_truncated, which_name_a_model
from annotation.visible import is_blank

Warnings = list[tuple[str, str]]
"""A word for programs and a sentence for people, each."""


def warnings_of(prompts: Sequence[PromptLine]) -> Iterator[Warnings]:
    """The warnings of each prompt; cheaper for many at once."""
    texts = [one.text for line in prompts for one in line.responses]
    telling, first = which_name_a_model(texts), 0
    for prompt in prompts:
        given = prompt.responses
        named = list(compress(given, telling[first : first + len(given)]))
        first += len(given)
        yield [*_of_prompt(prompt), *_of_responses(given, named)]


def _of_prompt(prompt: PromptLine) -> Iterator[tuple[str, str]]:
    if all(is_blank(message["content"]) for message in prompt.messages):
        yield "empty_prompt", "the prompt shows no character"
    if is_truncated(prompt.metadata):
        yield "truncated", "a text was cut off at its limit, says 'metadata'"
    if prompt.gold and len(set(prompt.gold.values())) == 1:
        yield "gold_tied", "'gold' ties everything: it tests nothing"


def _of_responses(
    given: Sequence[ResponseLine], named: Sequence[ResponseLine]
) -> Iterator[tuple[str, str]]:
    blank = [one for one in given if is_blank(one.text)]
    if blank:
        yield "empty_response", f"no visible character in {_listed(blank)}"
    equal = _equal(given)
    if equal:
        yield "identical_responses", f"equal texts: {_listed(equal)}"
    if named:
        yield "names_a_model", f"labelers can read which model wrote {_listed(named)}"
    cut = [one for one in given if one.params and is_truncated(one.params)]
    if cut:
        yield "truncated", f"cut off at a limit, say 'params': {_listed(cut)}"


def _equal(given: Sequence[ResponseLine]) -> list[ResponseLine]:
    texts = [one.text for one in given]
    if len(set(texts)) == len(texts):
        return []
    times = Counter(texts)
    return [one for one in given if times[one.text] > 1]


def _listed(responses: Iterable[ResponseLine]) -> str:
    return ", ".join(one.id[:50] for one in responses)
