"""A project full of hostile texts, and what must hold of every page that shows it."""

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page

from annotation.models import Instructions, Project, Prompt, Response
from annotation.queue import open_slots

K = 9
# What a browser made of the texts: nothing that loads, runs or leads to a script.
FOUND = """
() => {
  const bad = []
  if (window.__xss !== undefined) bad.push('something ran')
  for (const one of document.querySelectorAll('body *')) {
    const tag = one.localName
    if (/^(img|script|iframe|object|embed|svg|video|audio|style|base|meta|link|form)$/
        .test(tag) && one.closest('.text, .instructions, .said'))
      bad.push('<' + tag + '>')
    for (const {name, value} of one.attributes) {
      if (/^on/.test(name)) bad.push(tag + ' ' + name)
      if (/^(href|src|action|formaction)$/.test(name) &&
          /^[\\s\\x00-\\x20]*(javascript|data|vbscript):/i.test(value))
        bad.push(tag + ' ' + name + '=' + value)
    }
  }
  return bad
}
"""


OUTSIDE = """
() => [...document.querySelectorAll('.text a[href], .instructions a[href]')]
  .filter(({href, rel}) => /^https?:/.test(href) &&
    !['noopener', 'noreferrer', 'nofollow'].every((word) => rel.includes(word)))
  .map((one) => one.outerHTML)
"""


def plant(project: Project, payloads: Sequence[str]) -> int:
    """Prompts of nine responses that hold the payloads, each one also as a prompt's
    text, a model's name and a tag; how many prompts that made."""
    Instructions.objects.create(
        project=project, version=2, text="\n\n".join(payloads)[:16_000]
    )
    starts = range(0, len(payloads), K)
    for start in starts:
        texts = [payloads[(start + n) % len(payloads)] for n in range(K)]
        prompt = Prompt.objects.create(
            project=project,
            external_id=texts[0][:150],
            messages=[
                {"role": "system", "content": texts[1]},
                {"role": "user", "content": "\n\n".join(texts)},
            ],
            tags=[texts[2][:100]],
            line_sha256="0" * 64,
        )
        Response.objects.bulk_create(
            Response(prompt=prompt, external_id=f"r{n}", text=text, model=text)
            for n, text in enumerate(texts)
        )
        open_slots([prompt])
    return len(starts)


def what_came_alive(page: Page) -> list[Any]:
    """Everything on the page that a payload brought to life."""
    found: list[Any] = [*page.evaluate(FOUND), *page.evaluate(OUTSIDE)]
    return found
