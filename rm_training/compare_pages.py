"""Runs side by side: settings that differ, curves on one figure, final numbers."""

from functools import partial

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.paging import cursor_of
from ranking.figure_answers import figure_answer
from rm_training.compared_runs import (
    FEWEST,
    MOST,
    ComparedRun,
    compared,
    differences,
    same_prompts,
)
from rm_training.views import TRAINERS


@require_safe
@for_members(*TRAINERS)
def compare_runs(member: Member) -> HttpResponse:
    """The runs named by `run=…`, two to six of them."""
    runs = _chosen(member)
    if len(runs) < FEWEST:
        messages.warning(member.request, "Choose two or more runs to compare them.")
        return redirect("runs", member.project.slug)
    context = {
        "member": member,
        "runs": runs,
        "differences": differences(runs),
        "same_prompts": same_prompts(runs),
        "measured": any(one.best for one in runs),
        "query": "&".join(f"run={one.run.pk}" for one in runs),
        "most": MOST,
        "asked": len(set(member.request.GET.getlist("run"))),
    }
    return render(member.request, "rm_training/compare.html", context)


@require_safe
@for_members(*TRAINERS)
def compare_figure(member: Member, theme: str, width: str) -> HttpResponse:
    """Their curves as one image; 304 while the data is what the browser has."""
    # matplotlib takes half a second to load: most web processes never need it.
    from rm_training import compare_charts  # noqa: PLC0415

    runs = _chosen(member)
    state = " ".join(f"{one.run.pk}-{len(one.curves.loss)}" for one in runs)
    curves = {one.name: one.curves for one in runs}
    return figure_answer(
        member.request,
        partial(compare_charts.comparison_figure, curves),
        said=f"{compare_charts.STYLE_VERSION} {state}",
        theme=theme,
        width=width,
    )


def _chosen(member: Member) -> list[ComparedRun]:
    keys = [cursor_of(word) for word in member.request.GET.getlist("run")]
    return compared(member.project, [key for key in keys if key is not None])
