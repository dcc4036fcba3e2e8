"""The report as one HTML file that needs no other: figures and tables. PURE."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from rm_training.evaluation.exhibits import (
    Document,
    Exhibit,
    exhibits,
    facts,
    headline,
)
from rm_training.evaluation.words import (
    caution,
    counted,
    figure,
    percent,
    points,
    said,
)

NAMES: Final[Mapping[str, str]] = {
    "train": "Training prompts (train): not held out",
    "valid1": "Held-out prompts, selected on (valid1)",
    "valid2": "Held-out prompts, reported (valid2)",
    "all": "All prompts of the data",
}
TIES_PARTS: Final[Mapping[str, str]] = {
    "tied_accuracy": "Ties: every right answer beats every wrong one",
    "ref_accuracy": "Ties: likewise, with one right answer",
    "preferred": "Ties: right beats wrong by more than right answers differ",
    "preferred_hard": "Ties: likewise, with one right answer as well",
    "margin": "Ties: size of that margin, −1 to 1",
}
STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --raised: #f5f7f9; --ink: #1b1f24;
  --muted: #57606a; --hairline: #d5dbe1; --good: #1a6b3c; --bad: #a3202b; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --raised: #1d2329;
  --ink: #e6eaee; --muted: #a3adb7; --hairline: #323a43; --good: #8ad7a8;
  --bad: #ff9c9c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.5rem; padding-top: 1rem;
  border-top: 1px solid var(--hairline); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 0.5rem; }
p, figcaption { max-width: 75ch; }
.hint, figcaption, caption { color: var(--muted); font-size: 0.9rem; }
caption { text-align: left; padding-bottom: 0.5rem; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; }
figure { margin: 0.5rem 0; }
img { display: block; max-width: 100%; height: auto; }
dl { display: grid; gap: 0.75rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(13rem, 100%), 1fr)); }
dl > div { background: var(--raised); border-radius: 6px; padding: 0.75rem 1rem; }
dt { color: var(--muted); font-size: 0.9rem; }
dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
dd small { display: block; font-size: 0.85rem; font-weight: 400; color: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.35rem 1rem 0.35rem 0; vertical-align: top;
  border-bottom: 1px solid var(--hairline); overflow-wrap: normal; }
.number { text-align: right; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
summary { cursor: pointer; padding: 0.25rem 0; }
"""


def page_of(report: Document) -> str:
    """A whole HTML document. Every name in it is escaped; it loads nothing."""
    name = report.get("model", "a reward model")
    sections = "\n".join(_split(report, split) for split in report["splits"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Evaluation of {escape(name)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Evaluation of {escape(name)}</h1>
<p>{_data(report)} Scored in {escape(report["dtype"])}. Intervals are 95 %, from a
bootstrap over prompts ({report["intervals"]["draws"]:,} draws, seed
{report["intervals"]["seed"]}): the pairs of a prompt depend on each other.</p>
{sections}
{_folds(report.get("folds"))}
{_rewardbench(report.get("rewardbench2"))}
{_invariances(report["invariances"])}
</body>
</html>
"""


def _data(report: Document) -> str:
    if report["data_sha256"] is None:
        return ""
    sha256 = f"Rankings with SHA-256 <code>{escape(report['data_sha256'])}</code>."
    return sha256 if report["splits"] else f"{sha256} No prompt of them was scored."


def _split(report: Document, name: str) -> str:
    split = report["splits"][name]
    size, left = split["size"], report["left_out"].get(name, 0)
    boxes = "".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}"
        f"<small>{escape(more)}</small></dd></div>"
        for what, value, more in headline(report, name)
    )
    figures = "\n".join(_exhibit(exhibit) for exhibit in exhibits(split))
    rows = [[escape(cell) for cell in row] for row in facts(report, name)]
    left_out = f" Too long for the model and in no pair: {counted(left, 'response')}."
    return f"""<section>
<h2>{escape(NAMES.get(name, name))}</h2>
<p class="hint">{counted(size["prompts"], "prompt")},
{counted(size["responses"], "response")}, {counted(size["rankings"], "ranking")},
{counted(size["strict_pairs"], "strict pair")} of
{size["pairs"]:,}.{left_out if left else ""} {caution(size["prompts"])}</p>
<dl>{boxes}</dl>
{figures}
<h3>Calibration, ranking and length in numbers</h3>
{_table(["Number", "Value and 95 % interval", "n"], rows)}
</section>"""


def _exhibit(exhibit: Exhibit) -> str:
    head = [exhibit.axis, exhibit.measure, "95 % interval", "Pairs", "Prompts"]
    rows = [[escape(cell) for cell in (row.label, *row.cells)] for row in exhibit.rows]
    image = _picture(exhibit) if exhibit.shown else ""
    return f"""<h3>{escape(exhibit.title)}</h3>
<figure>
{image}
<figcaption><p>{escape(exhibit.finding)}</p><p>{escape(exhibit.note)}</p></figcaption>
</figure>
<details><summary>Data of this figure</summary>
{_table(head, rows)}
</details>"""


def _picture(exhibit: Exhibit) -> str:
    # matplotlib takes half a second to load.
    from ranking.drawing import svg  # noqa: PLC0415
    from rm_training.evaluation.charts import draw, recoloured  # noqa: PLC0415

    wide, slim = (svg(draw(exhibit, narrow=narrow)) for narrow in (False, True))
    narrow, dark = "(max-width: 40rem)", "(prefers-color-scheme: dark)"
    sources = (
        (f"{narrow} and {dark}", recoloured(slim)),
        (narrow, slim),
        (dark, recoloured(wide)),
    )
    alt = escape(f"{exhibit.title}. {exhibit.finding}", quote=True)
    return (
        "<picture>"
        + "".join(f'<source media="{m}" srcset="{_uri(im)}">' for m, im in sources)
        + f'<img src="{_uri(wide)}" alt="{alt}"></picture>'
    )


def _uri(image: bytes) -> str:
    return f"data:image/svg+xml;base64,{b64encode(image).decode()}"


def _folds(folds: Document | None) -> str:
    """Labelers that were learned from beside those that were held out."""
    if folds is None:
        return ""
    numbered = enumerate(folds["folds"], start=1)
    rows = [
        ("all folds", folds),
        *((f"fold {n}: {', '.join(fold['labelers'])}", fold) for n, fold in numbered),
    ]
    cells = [
        [
            escape(label),
            escape(said(fold["in_group"], percent)),
            escape(said(fold["held_out"], percent)),
            f"{fold['held_out']['n']:,}",
        ]
        for label, fold in rows
    ]
    head = ["Left out of training", "Learned from", "Held out", "Pairs held out"]
    return f"""<section>
<h2>Labelers who taught it nothing</h2>
<p class="hint">A model was trained anew without each group. Accuracy falls by
{escape(said(folds["gap"], points))} points with held-out labelers.</p>
{_table(head, cells)}
</section>"""


def _rewardbench(bench: Document | None) -> str:
    """RewardBench 2: the mean over subsets, each of them, and the parts of Ties."""
    if bench is None:
        return ""
    named = [
        ("All subsets, their mean", bench["overall"]),
        *bench["subsets"].items(),
        *((TIES_PARTS[name], part) for name, part in bench["ties"].items()),
    ]
    size = TIES_PARTS["margin"]
    rows = [
        [
            escape(label),
            escape(said(number, figure if label == size else percent)),
            f"{number['n']:,}",
        ]
        for label, number in named
    ]
    left = (
        " Left out, because a response is too long for the model: "
        f"{counted(bench['left_out'], 'prompt')}."
        if bench["left_out"]
        else ""
    )
    return f"""<section>
<h2>RewardBench 2</h2>
<p class="hint">Scored as by its authors. Of four responses drawn at random the right
one is chosen in 25 %; Ties adds up 30 % of each accuracy, 20 % of each margin test and
1 % of the margin's size, so it can reach 101 %.{left}</p>
{_table(["Subset", "Score and 95 % interval", "Prompts"], rows)}
</section>"""


def _invariances(checks: Sequence[Mapping[str, Any]]) -> str:
    if not checks:
        return ""
    rows = [
        [
            escape(check["check"]),
            figure(check["largest"]) if check["largest"] else "0",
            figure(check["tolerance"]),
            '<span class="good">pass</span>'
            if check["passed"]
            else '<span class="bad">FAIL</span>',
            f"{check['responses']:,}",
        ]
        for check in checks
    ]
    head = ["What is changed", "Largest change", "Tolerance", "Result", "Responses"]
    return f"""<section>
<h2>What must not change a reward</h2>
<p class="hint">Compared with float32 rewards of prompts scored one by one.</p>
{_table(head, rows)}
</section>"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already; the columns after the first hold numbers."""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td>{cell}</td>" for cell in rest)
        + "</tr>\n"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )
