"""The figures of a report and the table of each, before anything is drawn. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ranking.dashboard_numbers import Estimate
from ranking.pictures import Picture
from rm_training.evaluation.intervals import NO_STRICT, Number
from rm_training.evaluation.words import figure, interval, percent, said

Document = Mapping[str, Any]

MOST_ROWS: Final = 8
"""Of a slice that can have any number: tags, model pairs."""
MOST_LABELERS: Final = 40
REPORTED: Final = ("valid2", "valid1")
SLICES: Final = {
    "k": "K = {}",
    "rank_distance": "distance {}",
    "strength": "rating gap {}",
    "turns": "turns: {}",
    "length": "{} chars",
    "tag": "tag {}",
    "models": "{}",
}
CHOICES: Final = {  # short: a phone has room for 14 letters
    "always_longer": "always longer",
    "people_prefer_longer": "people: longer",
    "model_prefers_longer": "model: longer",
    "alike": "right, alike",
    "winner_longer": "right, longer",
    "winner_shorter": "right, shorter",
    "controlled": "right, equal",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of an exhibit: a number with its n, under a label."""

    label: str
    number: Number
    said: float = 0.0
    """Of a calibration bin: the mean P."""

    @property
    def cells(self) -> tuple[str, ...]:
        """What a table shows: value, interval or why there is none, pairs, prompts."""
        number = self.number
        value = "–" if number["value"] is None else percent(number["value"])
        ends = interval(number["ci"], percent) if number["ci"] else number["why"]
        return value, ends, f"{number['n']:,}", f"{number['prompts']:,}"


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A figure with its table."""

    name: str
    title: str
    axis: str
    """What the rows are."""
    measure: str
    rows: Sequence[Row]
    note: str
    form: str = "dots"
    """dots, or reliability."""
    lines: Sequence[tuple[float, str]] = ()
    """Shares to compare with, and what they are."""
    scaled: Sequence[Row] = ()
    """Of a reliability figure: the bins with the temperature."""

    @property
    def shown(self) -> list[Row]:
        """The rows that have a value."""
        return [row for row in self.rows if row.number["value"] is not None]

    @property
    def finding(self) -> str:
        """What the figure shows, in words."""
        if not self.shown:
            return (
                f"No figure: {self.rows[0].number['why'] if self.rows else NO_STRICT}."
            )
        if self.form == "reliability":
            return _gap_in_words(self.shown)
        if self.name == "length":
            return _length_in_words(self.shown)
        return self.picture.finding

    @property
    def picture(self) -> Picture:
        """Dots as the dashboards draw them."""
        return Picture(
            name=self.name,
            title=self.title,
            axis=self.axis,
            measure=self.measure,
            form="dots",
            rows=[_estimate(row) for row in self.rows],
            lines=self.lines,
            note=self.note,
            unit="pairs",
        )


def reported(report: Document) -> str | None:
    """The split whose numbers stand for the model; None where none was scored."""
    splits = report["splits"]
    return next((name for name in (*REPORTED, *splits) if name in splits), None)


def exhibits(split: Document) -> list[Exhibit]:
    """The figures of one split of a report."""
    return [_by_slice(split), _by_labeler(split), _reliability(split), _length(split)]


def headline(report: Document, name: str) -> list[tuple[str, str, str]]:
    """(what, value, its interval and n or why there is none) of one split."""
    split = report["splits"][name]
    accuracy, labelers = split["accuracy"], split["labelers"]
    alone = labelers["leave_one_out"]
    return [
        ("Accuracy, pair by pair", *_shown(accuracy["pair_mean"])),
        ("Accuracy, prompt by prompt", *_shown(accuracy["prompt_mean"], "prompts")),
        ("Lowest tenth of slices", *_shown(accuracy["low_quantile"], "slices")),
        ("People with each other", *_shown(labelers["agreement"], "comparisons")),
        ("Best that any model can reach", *_ceiling(labelers["ceiling"])),
        ("Others' majority is right", *_shown(alone["people"])),
        ("The model, same pairs", *_shown(alone["model"])),
        ("The model on the majority", *_shown(labelers["majority"])),
    ]


def facts(report: Document, name: str) -> list[tuple[str, str, str]]:
    """(what, value with its interval, n) of the numbers that no figure shows."""
    split = report["splits"][name]
    measured, scaled = split["calibration"], split["calibration"]["with_temperature"]
    within, length, accuracy = (
        split["within_prompt"],
        split["length"],
        split["accuracy"],
    )
    shares = [
        ("Pairs that people tied", accuracy["human_ties"]),
        ("Strict pairs that the model ties", accuracy["model_ties"]),
        ("Best of K is among the labeler's best", within["top_1"]),
        ("… of a response drawn at random", within["top_1_chance"]),
    ]
    figures = [
        ("Mean -log sigmoid(Δ), nats (chance: 0.693)", accuracy["nll"]),
        ("Calibration error (ECE)", measured["ece"]),
        ("Brier score (chance: 0.250)", measured["brier"]),
        ("Temperature, fitted on valid1", report["temperature"]),
        *([("ECE with the temperature", scaled["ece"])] if scaled else []),
        *([("Brier score with the temperature", scaled["brier"])] if scaled else []),
        ("|P - share of votes|, three labelers or more", measured["vote_share"]["gap"]),
        ("Kendall's tau-b within a prompt", within["tau_b"]),
        ("NDCG", within["ndcg"]),
        ("Best-of-K regret, 0 best to 1 worst tier", within["regret"]),
        ("… of a response drawn at random", within["regret_chance"]),
        ("Spearman, reward and length within a prompt", length["spearman"]),
        ("Pearson, the same, pooled", length["pearson"]),
        ("Slope of log length beside the reward", length["length_slope"]),
    ]
    return [
        *((label, said(number, percent), _n(number)) for label, number in shares),
        *((label, said(number, figure), _n(number)) for label, number in figures),
    ]


def _shown(number: Number, unit: str = "pairs") -> tuple[str, str]:
    if number["value"] is None:
        return "–", f"undefined: {number['why']}"
    ends = f"{interval(number['ci'], percent)}; " if number["ci"] else ""
    return percent(number["value"]), f"{ends}{number['n']:,} {unit}"


def _ceiling(ceiling: Document) -> tuple[str, str]:
    if ceiling["low"] is None:
        return "–", f"undefined: {ceiling['why']}"
    return (
        interval([ceiling["low"], ceiling["high"]], percent),
        "from the agreement of people",
    )


def _n(number: Number) -> str:
    return f"{number['n']:,}"


def _by_slice(split: Document) -> Exhibit:
    accuracy = split["accuracy"]
    rows = [Row(label="all pairs", number=accuracy["pair_mean"])]
    notes = []
    for name, label in SLICES.items():
        slices = accuracy["slices"].get(name, [])  # an older report has fewer
        kept = slices
        if name in ("tag", "models") and len(slices) > MOST_ROWS:
            kept = sorted(slices, key=lambda row: -row["n"])[:MOST_ROWS]
            notes.append(f"the {MOST_ROWS} largest of {len(slices)} by {name}")
        rows += [Row(label=label.format(row["label"]), number=row) for row in kept]
    return Exhibit(
        name="slices",
        title="Accuracy by slice",
        axis="Slice",
        measure="Pairs ordered as the labeler did",
        rows=rows,
        note="; ".join(["Strict pairs; a tie of the model counts half", *notes]) + ".",
        lines=[(0.5, "chance")],
    )


def _by_labeler(split: Document) -> Exhibit:
    labelers = split["labelers"]
    rows = sorted(labelers["by_labeler"], key=lambda row: -row["n"])[:MOST_LABELERS]
    ceiling = labelers["ceiling"]
    lines = []
    if ceiling["low"] is not None:
        lines = [
            (ceiling["low"], f"people agree: {percent(ceiling['low'])}"),
            (ceiling["high"], f"ceiling: {percent(ceiling['high'])}"),
        ]
    more = len(labelers["by_labeler"]) - len(rows)
    return Exhibit(
        name="labelers",
        title="Accuracy by labeler",
        axis="Labeler",
        measure="Pairs ordered as this labeler did",
        rows=[Row(label=row["label"], number=row) for row in rows],
        note="With agreement A of two labelers, the best accuracy of any model lies "
        "between A and (1 + √(2A - 1)) / 2."
        + (f" {more} labelers with fewer pairs are not shown." if more else ""),
        lines=lines,
    )


def _reliability(split: Document) -> Exhibit:
    measured = split["calibration"]
    scaled = measured["with_temperature"]
    return Exhibit(
        name="reliability",
        title="Calibration",
        axis="Probability that the model gives",
        measure="Share of pairs where people agree",
        form="reliability",
        rows=[*_bins(measured)],
        scaled=[*_bins(scaled)] if scaled else [],
        note="P = sigmoid(Δ reward) in 15 bins of equal mass; every pair counts in "
        "both orders, so the halves mirror each other.",
    )


def _bins(measured: Document) -> Iterator[Row]:
    for row in measured["bins"]:
        yield Row(label=percent(row["said"]), said=row["said"], number=row)


def _length(split: Document) -> Exhibit:
    return Exhibit(
        name="length",
        title="Length",
        axis="What is counted",
        measure="Share of pairs",
        rows=[
            Row(label=label, number=split["length"][key])
            for key, label in CHOICES.items()
        ],
        note="Lengths in characters. Always longer: how often choosing the longer "
        "response would be right. People, model: how often each chooses the longer. "
        "Right: the model's accuracy where lengths are alike (within 10 %), where the "
        "longer or the shorter response is better, and, by a logistic fit of Δ reward "
        "and Δ log length, were lengths equal.",
        lines=[(0.5, "chance")],
    )


def _length_in_words(rows: Sequence[Row]) -> str:
    value = {row.label: percent(row.number["value"]) for row in rows}

    def of(key: str) -> str:
        return value.get(CHOICES[key], "an undefined share")

    return (
        f"The model chooses the longer response in {of('model_prefers_longer')} of "
        f"pairs, people in {of('people_prefer_longer')}. The model is right in "
        f"{of('winner_longer')} where the longer one is better and in "
        f"{of('winner_shorter')} where the shorter one is."
    )


def _gap_in_words(rows: Sequence[Row]) -> str:
    upper = [row for row in rows if row.said >= 0.5]
    farthest = max(upper or rows, key=lambda row: abs(row.number["value"] - row.said))
    return (
        f"Farthest from the diagonal: where the model says {farthest.label}, people "
        f"agree in {percent(farthest.number['value'])}."
    )


def _estimate(row: Row) -> Estimate:
    number = row.number
    return Estimate(
        label=row.label,
        part=(number["value"] or 0.0) * number["n"],
        whole=number["n"] if number["value"] is not None else 0,
        prompts=number["prompts"],
        interval=number["ci"],
        missing=number["why"],
    )
