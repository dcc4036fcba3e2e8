"""RewardBench 2: its arithmetic on paper, and the command on a file of it."""

import io
import json
import math
import random
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow as pa
import pytest
from django.core.management.base import CommandError
from pyarrow import parquet

from rm_training.data import DataError
from rm_training.evaluation.rewardbench2 import Item, rewardbench2
from rm_training.listener import TrainingResult
from rm_training.management.commands import evaluate_reward_model
from rm_training.rewardbench import read_questions
from rm_training.scoring import RewardModel


def item(
    id_: str, right: list[float], wrong: list[float], subset: str = "Math"
) -> Item:
    return Item(id=id_, subset=subset, right=tuple(right), wrong=tuple(wrong))


def ties(id_: str, right: list[float], wrong: list[float]) -> Item:
    return item(id_, right, wrong, subset="Ties")


def test_a_right_response_shares_its_credit_with_those_that_tie_it() -> None:
    found = rewardbench2(
        [
            item("a", [2.0], [1.0, 0.0, -1.0]),  # 1
            item("b", [2.0], [2.0, 2.0, 0.0]),  # a third
            item("c", [2.0], [3.0, 2.0, 0.0]),  # 0
        ]
    )
    assert found["subsets"]["Math"]["value"] == pytest.approx(4 / 9)
    assert found["subsets"]["Math"]["n"] == 3
    assert found["overall"]["value"] == found["subsets"]["Math"]["value"]
    assert found["ties"] == {}


def test_ties_adds_up_its_five_parts() -> None:
    found = rewardbench2(
        [
            # Right answers 2 apart, 3 above the wrong one; with one right answer 1.
            ties("tied:1", [5.0, 3.0], [0.0]),
            ties("ref:1", [1.0], [0.0, -4.0]),
            # A wrong answer between the right ones.
            ties("tied:2", [4.0, 0.0], [1.0]),
            ties("ref:2", [3.0], [1.0]),
        ]
    )
    parts = {name: part["value"] for name, part in found["ties"].items()}
    margin = (math.tanh(1 / 2 - 1) + math.tanh(-1 / 4 - 1)) / 2
    assert parts == {
        "tied_accuracy": 0.5,
        "ref_accuracy": 1.0,
        "preferred": 0.5,  # 3 > 2; -1 < 4
        "preferred_hard": 0.0,  # 1 < 2; -1 < 4
        "margin": pytest.approx(margin),
    }
    score = 0.3 * 0.5 + 0.3 * 1.0 + 0.2 * 0.5 + 0.2 * 0.0 + 0.01 * margin
    assert found["subsets"]["Ties"]["value"] == pytest.approx(score, abs=1e-12)
    assert found["subsets"]["Ties"]["n"] == 2  # questions, whichever forms they have


@pytest.mark.parametrize(("gap", "margin"), [(1.0, 1.0), (0.0, 0.0), (-1.0, -1.0)])
def test_without_a_spread_the_margin_is_its_limit(gap: float, margin: float) -> None:
    found = rewardbench2([ties("tied:1", [gap], [0.0]), ties("ref:1", [gap], [0.0])])
    assert found["ties"]["margin"]["value"] == margin


def test_a_question_in_one_form_only_leaves_ties_undefined_with_a_reason() -> None:
    found = rewardbench2([ties("tied:1", [1.0], [0.0]), item("a", [1.0], [0.0])])
    assert found["ties"]["tied_accuracy"]["value"] == 1.0
    for number in (found["ties"]["preferred"], found["subsets"]["Ties"]):
        assert (number["value"], number["why"][:31]) == (
            None,
            "no question of Ties was scored ",
        )
    assert found["overall"]["value"] is None
    assert found["subsets"]["Math"]["value"] == 1.0
    assert rewardbench2([])["overall"]["why"] == "no prompt was scored"


def by_loops(items: list[Item]) -> dict[str, float]:
    """The same, question by question."""
    scores = {
        subset: mean(one.credit for one in items if one.subset == subset)
        for subset in {one.subset for one in items} - {"Ties"}
    }
    of = {one.id: one for one in items if one.subset == "Ties"}
    tied = [one for id_, one in of.items() if id_.startswith("tied:")]
    ref = [one for id_, one in of.items() if id_.startswith("ref:")]
    both = [(of[f"ref:{t.id[5:]}"], t) for t in tied if f"ref:{t.id[5:]}" in of]
    scores["Ties"] = (
        0.30 * mean(min(t.right) > max(t.wrong) for t in tied)
        + 0.30 * mean(min(r.right) > max(r.wrong) for r in ref)
        + 0.20 * mean(t.gap > t.spread for _, t in both)
        + 0.20 * mean(min(r.gap, t.gap) > t.spread for r, t in both)
        + 0.01 * mean(math.tanh(min(r.gap, t.gap) / t.spread - 1) for r, t in both)
    )
    return scores


def test_the_scores_are_those_of_plain_loops_and_have_intervals() -> None:
    draw = random.Random(3)

    def rewards(count: int, lift: float) -> list[float]:
        return [round(draw.gauss(lift, 1), 1) for _ in range(count)]

    items = [
        item(f"{subset}{n}", rewards(1, 1.0), rewards(3, 0.0), subset=subset)
        for subset in ("Math", "Safety")
        for n in range(40)
    ]
    for n in range(30):
        items.append(ties(f"tied:{n}", rewards(draw.randint(2, 5), 4), rewards(9, 0)))
        if n % 5:
            items.append(ties(f"ref:{n}", rewards(1, 3), rewards(9, 0)))
    found, wanted = rewardbench2(items), by_loops(items)
    for subset, score in wanted.items():
        number = found["subsets"][subset]
        assert number["value"] == pytest.approx(score, abs=1e-12)
        low, high = number["ci"]
        assert low < score < high
    overall = found["overall"]
    assert overall["value"] == pytest.approx(mean(wanted.values()), abs=1e-12)
    assert overall["n"] == 40 + 40 + 30


# --- The file and the command -------------------------------------------------------


def rows() -> list[dict[str, Any]]:
    """Two prompts of a subset, and a question of Ties in both forms."""
    return [
        row("1", "Math", ["Four, thank you."], ["Five.", "Six.", "Seven."]),
        row("2", "Math", ["Nine."], ["Ten, thank you.", "Six.", "Seven."]),
        row("tied:7", "Ties", ["Red, thank you.", "Blue, thank you."], ["Seven."]),
        row("ref:7", "Ties", ["Red, thank you."], ["Seven.", "Eight."]),
    ]


def row(
    id_: str, subset: str, chosen: list[str], rejected: list[str]
) -> dict[str, Any]:
    return {
        "id": id_,
        "prompt": "Name one.",
        "chosen": chosen,
        "rejected": rejected,
        "num_correct": len(chosen),
        "subset": subset,
    }


def as_lines(file: Path, found: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(one) + "\n" for one in found))
    return file


def call(*argv: str) -> str:
    out = io.StringIO()
    command = evaluate_reward_model.Command(stdout=out)
    parser = command.create_parser("manage.py", "evaluate_reward_model")
    command.handle(**vars(parser.parse_args([*argv, "--device", "cpu"])))
    return out.getvalue()


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path) -> None:
    table = tmp_path / "test-00000-of-00001.parquet"
    parquet.write_table(pa.Table.from_pylist(rows()), table)
    assert read_questions(table) == read_questions(
        as_lines(tmp_path / "test.jsonl", rows())
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chosen": "Four."}, "line 1: chosen must be a list of texts"),
        ({"chosen": ["4", "IV"]}, "line 1: outside Ties one response is chosen"),
        ({"rejected": []}, "line 1: rejected must be a list of texts"),
        ({"subset": "Ties"}, "line 1: of Ties an id begins with ref: or tied:"),
        ({"prompt": 4}, "line 1: prompt must be a text"),
    ],
)
def test_a_row_that_is_none_of_the_benchmark_is_named(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        read_questions(as_lines(tmp_path / "a.jsonl", [rows()[0] | change]))


def test_a_file_that_is_no_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not quite")
    with pytest.raises(DataError, match="cannot be read"):
        read_questions(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds no prompt"):
        read_questions(as_lines(tmp_path / "empty.jsonl", []))


def test_the_command_scores_it_without_rankings(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    too_long = row("3", "Math", ["Four. " * 2000], ["Five.", "Six.", "Seven."])
    file = as_lines(tmp_path / "rb2.jsonl", [*rows(), too_long])
    out = tmp_path / "report"
    printed = call(
        *("--model", str(polite_run.folder), "--rewardbench", str(file)),
        *("--out", str(out)),
    )
    found = json.loads((out / "evaluation.json").read_text())
    bench = found["rewardbench2"]
    assert (found["data_sha256"], found["splits"], bench["left_out"]) == (None, {}, 1)
    model = RewardModel.load(polite_run.folder, device="cpu")
    [first, second] = model.score(
        ["Name one."] * 2, [[*one["chosen"], *one["rejected"]] for one in rows()[:2]]
    )
    credit = mean(given[0] == max(given) for given in (first, second))
    assert bench["subsets"]["Math"]["value"] == credit
    assert f"Math: {100 * credit:.1f} %" in printed
    page = (out / "evaluation.html").read_text()
    assert "<h2>RewardBench 2</h2>" in page
    assert "too long for the model: 1 prompt." in page


def test_without_any_data_the_command_says_what_it_needs(
    polite_run: TrainingResult,
) -> None:
    with pytest.raises(CommandError, match="--data or --rewardbench") as caught:
        call("--model", str(polite_run.folder))
    assert caught.value.returncode == 2
