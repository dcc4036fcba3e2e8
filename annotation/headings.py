"""PURE: the headings of a rendered text where that text is the page.

`annotation.rendering` writes h4 to h6, because a response stands below headings of the
ranking page. Under a page's title they would skip levels, which is how people who
listen to a page find their way.
"""

import re

# Text is escaped, so nothing but the renderer's own tags looks like one.
HEADING = re.compile(r"<(/?)h([4-6])>")
FIRST = 2


def as_sections(html: str) -> str:
    """The text's headings as h2, h3, …: the highest as h2, none left out.

    `<h5>a</h5><h6>b</h6>` becomes `<h2>a</h2><h3>b</h3>`.
    """
    found = sorted({level for _, level in HEADING.findall(html)})
    new = {level: FIRST + place for place, level in enumerate(found)}
    return HEADING.sub(lambda tag: f"<{tag[1]}h{new[tag[2]]}>", html)
