"""F26: no text takes long to render, whatever somebody made of 16 KiB.

Measured as CPU time of this process, so that a busy machine does not decide.
"""

import math
import time

import pytest

from annotation.rendering import (
    COLOURED_LANGUAGES,
    LONGEST_COLOURED,
    LONGEST_RICH,
    is_rich,
    render,
)
from tests.faults.progress import progress, report

MOST = 0.3  # seconds of CPU for one text
TRIES = 5  # a busy machine makes CPU time longer too, now and then
K = 9


def richest(text: str) -> str:
    """The longest beginning of a text that is still read as Markdown."""
    short, long = 0, len(text)
    while short < long:
        middle = (short + long + 1) // 2
        short, long = (middle, long) if is_rich(text[:middle]) else (short, middle - 1)
    return text[:short]


def filled(piece: str, size: int = LONGEST_RICH, end: str = "") -> str:
    """`piece` over and over in at most `size` bytes, then `end`."""
    most = (size - len(end.encode())) // len(piece.encode())
    return piece * most + end


BOMBS = (
    *(
        "![[",
        "[",
        "[[]",
        "[a](",
        "[a](<b>",
        "![a](b",
        "*a ",
        "**a _b",
        "*_",
        "_*a*",
        "~~",
    ),
    *(
        "`",
        "`a``",
        "<",
        "<a",
        "&",
        "&amp",
        "$",
        "$a",
        "$$a",
        "\\(",
        "\\[\n",
        "\\[a\\]",
        "\\",
    ),
    *(
        "> ",
        "- ",
        "1. ",
        "\t",
        "#",
        "# \n",
        "| ",
        "|-",
        "a|b\n-|-\n",
        "```\n",
        "~~~a\n",
    ),
    *("[a]: b\n", "[a]: <\n", "[a]\n\n", "a\n=\n", "***\n", "\n", " \n", "a  \n"),
    *("https://e.org ", "<https://e.org>", "a@e.org ", '[a](b "', "{", "}", "\x0b"),
)
FORMULAS: tuple[str, ...] = (
    "x^",
    "x_{1}^{2}",
    "\\frac{a}{b}",
    "{",
    "\\sqrt{",
    "\\left(",
    "\\text{a}",
)
FORMULAS += ("\\begin{matrix}a&b\\\\", "\\mathbb{R}", "\\alpha", "\\not", "\\\\", "'")

TEXTS = {
    "a word of 1e5 characters": "x" * 100_000,
    "the longest rich word": "x" * LONGEST_RICH,
    "code of 3,000 lines": "```python\n" + "print(1)\n" * 3_000 + "```",
    "as much code as is rich": filled("print(1)\n", LONGEST_RICH - 20).join(
        ["```python\n", "```"]
    ),
    "1,000 combining marks": "a" + "\u0301" * 1_000,
    "combining marks only": filled("\u0301"),
    "families": filled("👩\u200d👩\u200d👧\u200d👦"),
    "right to left and overridden": filled("\u202e\u05d0\u05d1\u202c"),
    "nothing to see": filled("\u200b"),
    "deep quotes": filled("> ", end="x"),
    "deep lists": "\n".join("  " * depth + "- x" for depth in range(120)),
    "a wide table": "|" + "a|" * 2_000 + "\n|" + "-|" * 2_000 + "\n|" + "b|" * 2_000,
    "a long table": filled("|a|b|c|\n", LONGEST_RICH - 40).join(
        ["|a|b|c|\n|-|-|-|\n", ""]
    ),
    **{f"markdown {piece!r}": filled(piece) for piece in BOMBS},
    **{
        f"markdown {piece!r}, then closed": filled(piece, end="](x)") for piece in BOMBS
    },
    **{f"many formulas {piece!r}": filled(f"${piece}$ ") for piece in FORMULAS},
    **{
        f"long formulas {piece!r}": filled(f"$a{filled(piece, 1_990)}b$\n\n")
        for piece in FORMULAS
    },
    **{
        f"coloured {language}": filled("a = '\"(/*<#", LONGEST_COLOURED - 30).join(
            [f"```{language.lower()}\n", "\n```"]
        )
        for language in sorted(COLOURED_LANGUAGES)
    },
}


def cost(text: str) -> float:
    """Seconds of CPU that it takes to render a text; what took too long is tried again,
    and the best of five counts."""
    best = math.inf
    for _ in range(TRIES):
        started = time.process_time()
        render(text)
        best = min(best, time.process_time() - started)
        if best <= MOST:
            break
    return best


@pytest.mark.timeout(900)
def test_no_text_takes_long_and_so_no_page_of_nine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render("$x$ `warm`")
    texts = TEXTS | {f"{name}, cut": richest(text) for name, text in TEXTS.items()}
    costs = {}
    with progress(capsys, "F26", len(texts)) as bar:
        for name, text in texts.items():
            costs[name] = cost(text)
            bar.update()
    worst = sorted(costs, key=lambda name: -costs[name])
    lines = [f"  {costs[name] * 1000:7.1f}  {name}" for name in worst[:K]]
    head = f"F26: {len(costs)} texts; the {K} worst, in ms of CPU:"
    report(capsys, "\n".join([head, *lines]))
    assert {name: costs[name] for name in worst if costs[name] > MOST} == {}
