"""Runs side by side: settings that differ, curves on one figure, final numbers."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.change_pages import cursor_of
from rm_training.compared_runs import (
    FEWEST,
    MOST,
    ComparedRun,
    compared,
    differences,
    same_prompts,
)
from rm_training.views import THEMES, TRAINERS, WIDTHS


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
    from ranking.drawing import svg  # noqa: PLC0415
    from rm_training import compare_charts  # noqa: PLC0415

    if theme not in THEMES or width not in WIDTHS:
        raise Http404("No such figure.")
    runs = _chosen(member)
    state = ".".join(f"{one.run.pk}-{len(one.curves.loss)}" for one in runs)
    etag = quote_etag(f"{compare_charts.STYLE_VERSION}.{state}.{theme}.{width}")
    response = get_conditional_response(member.request, etag=etag)
    if response is None:
        figure = compare_charts.comparison_figure(
            {one.name: one.curves for one in runs},
            dark=theme == "dark",
            narrow=width == "narrow",
        )
        response = HttpResponse(svg(figure), content_type="image/svg+xml")
        response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _chosen(member: Member) -> list[ComparedRun]:
    keys = [cursor_of(word) for word in member.request.GET.getlist("run")]
    return compared(member.project, [key for key in keys if key is not None])
