"""The evaluation of a run's model: its figures, their rows, and all of it as JSON."""

import csv
from functools import partial
from typing import Any, Final

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.csv_cells import neutral
from ranking.figure_answers import figure_answer
from rm_training.evaluation.exhibits import Exhibit, exhibits, reported
from rm_training.models import RewardModel

READERS: Final = (Role.RESEARCHER, Role.ADMIN)


@require_safe
@for_members(*READERS)
def evaluation_json(member: Member, pk: int) -> HttpResponse:
    """The whole report, both splits, as a file."""
    response = JsonResponse(_report(member, pk), json_dumps_params={"indent": 1})
    name = f"run-{pk}-evaluation.json"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_safe
@for_members(*READERS)
def evaluation_figure(
    member: Member, pk: int, exhibit: str, theme: str, width: str
) -> HttpResponse:
    """An exhibit as an image; 304 while the browser has it: a report never changes."""
    # matplotlib takes half a second to load: most web processes never need it.
    from rm_training.evaluation import charts  # noqa: PLC0415

    shown = _exhibit(member, pk, exhibit)
    return figure_answer(
        member.request,
        partial(charts.draw, shown),
        said=f"{charts.STYLE_VERSION} {shown!r}",
        theme=theme,
        width=width,
    )


@require_safe
@for_members(*READERS)
def evaluation_csv(member: Member, pk: int, exhibit: str) -> HttpResponse:
    """The rows of an exhibit as a file; an undefined number is an empty cell."""
    shown = _exhibit(member, pk, exhibit)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"run-{pk}-{shown.name}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    lines = csv.writer(response)
    lines.writerow([shown.axis.lower(), "value", "low", "high", "pairs", "prompts"])
    for row in shown.rows:
        number = row.number
        value = "" if number["value"] is None else number["value"]
        low, high = number["ci"] or ("", "")
        label = neutral(row.label)
        lines.writerow([label, value, low, high, number["n"], number["prompts"]])
    return response


def _exhibit(member: Member, pk: int, name: str) -> Exhibit:
    report = _report(member, pk)
    split = reported(report)
    found = exhibits(report["splits"][split]) if split else []
    for exhibit in found:
        if exhibit.name == name:
            return exhibit
    raise Http404("No such figure.")


def _report(member: Member, pk: int) -> dict[str, Any]:
    models = RewardModel.objects.filter(project=member.project)
    model = get_object_or_404(models, run=pk)
    if model.evaluation is None:
        raise Http404("This model has no evaluation.")
    report: dict[str, Any] = model.evaluation
    return report
