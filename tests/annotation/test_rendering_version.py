"""What a version of the renderer makes never changes: pages keep it.

When this fails, the HTML of some text became another one, by a change of ours or by a
newer library. Raise `annotation.rendering.VERSION`, and put the new version's digest
in its place here.
"""

import hashlib
import json

from annotation.rendering import (
    COLOURED_LANGUAGES,
    LONGEST_COLOURED,
    LONGEST_RICH,
    VERSION,
    render,
)
from tests.annotation.test_rendering import CASES

VERSION_AND_DIGEST = (
    1,
    "51395229373965f7d3cfb29e6dcfe48454a547d8b77e9fa47ceafab4e62614da",
)

CODE = "if (a < 1) { return 'x' + \"y\"; } # comment\nclass A: pass // b\n<p>SELECT 1"
CORPUS = [
    *(text for text, _, _ in CASES),
    *(f"```{language}\n{CODE}\n```" for language in sorted(COLOURED_LANGUAGES)),
    "1. a\n2. b\n   - c\n\n> quote\n> - in it\n\n***\n\n| a | b |\n|:-|-:|\n| 1 | 2 |",
    "# 1\n## 2\n### 3\n#### 4\n##### 5\n###### 6\nTitle\n=====\n",
    "https://example.org <https://example.org> <a@example.org> [r]\n\n[r]: http://e.org",
    "**a _b_** `c``d` \\* &amp; &copy; &#0; a  \nb \\\nc\u00a0d",
    "$\\frac{a}{b}$ $\\sqrt[3]{x}$ $\\begin{matrix}1&2\\\\3&4\\end{matrix}$ $\\alpha$",
    "$$\n\\sum_{i=1}^n x_i\n$$\n\n\\[\\int_0^1 f\\] \\(\\vec{v}\\) $\\mathbb{R}$ $1$2",
    "\u202eabc\u202c e\u0301 👩\u200d👩\u200d👧 \u200b שלום",
    "x" * LONGEST_COLOURED + "\n```python\nprint(1)\n```",
    "<b>" * LONGEST_RICH,
]


def test_a_version_of_the_renderer_makes_the_same_html_for_ever() -> None:
    shown = json.dumps([render(text) for text in CORPUS])
    assert (VERSION, hashlib.sha256(shown.encode()).hexdigest()) == VERSION_AND_DIGEST


def test_the_corpus_has_every_tag_that_a_page_may_show() -> None:
    """Else a change of one would go unnoticed."""
    shown = "".join(map(render, CORPUS))
    tags = {"p", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote"}
    tags |= {"h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "br"}
    tags |= {"hr", "a", "span", "div", "math", "mfrac", "mroot", "mtable", "msubsup"}
    missing = {
        tag for tag in tags if f"<{tag}>" not in shown and f"<{tag} " not in shown
    }
    assert missing == set()
