"""Pages of training runs: the list, one run while it trains, its model."""

import csv
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotation.access import Member, for_members
from annotation.health import broker_state
from annotation.jobs import UNFINISHED, JobState, waits_long
from annotation.models import Role
from ranking.figure_answers import figure_answer
from rm_training.continuing import way_on
from rm_training.curves import read_curves
from rm_training.forms import RetrainForm
from rm_training.models import RewardModel, TrainingRun, When
from rm_training.registry import retraining_of
from rm_training.retraining import reason_for, waiting_for
from rm_training.run_log import log_of
from rm_training.run_page import live_run, runs_of
from rm_training.runs import RunRefusedError, cancel, put_to_use, request_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINERS = (Role.RESEARCHER, Role.ADMIN)
RUNS_PER_PAGE = 50
SPEED_AND_REWARDS = ("tokens", "seconds", "reward_mean", "reward_spread")
METRIC_COLUMNS = (
    "step",
    "loss",
    "accuracy",
    "learning_rate",
    "valid1_accuracy",
    "valid1_loss",
    *SPEED_AND_REWARDS,
)


@require_safe
@for_members(*TRAINERS)
def runs(member: Member) -> HttpResponse:
    """All runs of the project, newest first, and the form to start one."""
    return _runs_page(member, RetrainForm(project=member.project))


@require_POST
@for_members(*TRAINERS)
def retrain(member: Member) -> HttpResponse:
    """Queue a run and go to its page."""
    form = RetrainForm(member.request.POST, project=member.project)
    if not form.is_valid():
        return _runs_page(member, form, status=422)
    try:
        run = request_run(
            member.project,
            user=member.user,
            base_model=form.cleaned_data["base_model"],
            config=form.cleaned_data["config"],
            dataset=form.cleaned_data["dataset"],
        )
    except RunRefusedError as refusal:
        form.add_error(None, str(refusal))
        return _runs_page(member, form, status=422)
    return redirect("run", member.project.slug, run.pk)


@require_safe
@for_members(*TRAINERS)
def run(member: Member, pk: int) -> HttpResponse:
    """One run: how it stands, what it measured, and its model in the end."""
    return render(member.request, "rm_training/run.html", _run_context(member, pk))


@require_safe
@for_members(*TRAINERS)
def run_live(member: Member, pk: int) -> HttpResponse:
    """The part of the run's page that changes while it trains."""
    return render(member.request, "rm_training/_live.html", _run_context(member, pk))


@require_safe
@for_members(*TRAINERS)
def run_figure(member: Member, pk: int, theme: str, width: str) -> HttpResponse:
    """Loss and accuracy as an image; 304 while the data is what the browser has."""
    # matplotlib takes half a second to load: most web processes never need it.
    from rm_training import charts  # noqa: PLC0415

    run = run_of(member, pk)

    def draw(**look: bool) -> "Figure":
        curves = read_curves(run.metrics.values_list("step", "values"))
        return charts.training_figure(curves, **look)

    said = f"{charts.STYLE_VERSION} {run.pk} {live_run(run).figure_version}"
    return figure_answer(member.request, draw, said=said, theme=theme, width=width)


@require_safe
@for_members(*TRAINERS)
def run_metrics(member: Member, pk: int) -> HttpResponse:
    """Every step's numbers as CSV; an undefined one is an empty cell."""
    run = run_of(member, pk)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.csv"'
    rows = csv.writer(response)
    rows.writerow(METRIC_COLUMNS)
    for step, values in run.metrics.values_list("step", "values"):
        valid1 = values.get("valid1") or {"counts": {"accuracy": None}, "loss": None}
        rows.writerow(
            [
                step,
                values["loss"],
                values["counts"]["accuracy"],
                values["learning_rate"],
                valid1["counts"]["accuracy"],
                valid1["loss"],
                *(values.get(name) for name in SPEED_AND_REWARDS),
            ]
        )
    return response


@require_POST
@for_members(*TRAINERS)
def cancel_run(member: Member, pk: int) -> HttpResponse:
    """Stop a run wherever it stands."""
    run = run_of(member, pk)
    if cancel(run, user=member.user):
        messages.success(member.request, f"Run {run.pk} was cancelled.")
    else:
        messages.warning(
            member.request, f"Run {run.pk} had finished before: nothing was changed."
        )
    return redirect("run", member.project.slug, run.pk)


@require_POST
@for_members(*TRAINERS)
def use_model(member: Member, pk: int) -> HttpResponse:
    """Make a published model the one in use."""
    model = get_object_or_404(RewardModel, project=member.project, pk=pk)
    put_to_use(model, user=member.user)
    messages.success(member.request, f"The model of run {model.run_id} is now in use.")
    return redirect("run", member.project.slug, model.run_id)


def run_of(member: Member, pk: int) -> TrainingRun:
    """The run, if it is of the member's project. Errors: Http404."""
    runs = TrainingRun.objects.filter(project=member.project)
    runs = runs.select_related("dataset", "reward_model", "created_by")
    return get_object_or_404(runs.annotate(waits_long=waits_long()), pk=pk)


def _run_context(member: Member, pk: int) -> dict[str, Any]:
    run = run_of(member, pk)
    return {
        "member": member,
        "run": run,
        "live": live_run(run),
        "lines": log_of(run),
        "on": way_on(run),
        "broker": broker_state() if run.state == JobState.QUEUED else "ok",
    }


def _runs_page(member: Member, form: RetrainForm, *, status: int = 200) -> HttpResponse:
    found = Paginator(runs_of(member.project), RUNS_PER_PAGE)
    page = found.get_page(member.request.GET.get("page"))
    settings = retraining_of(member.project)
    context = {
        "member": member,
        "page": page,
        "form": form,
        "settings": settings,
        "is_on": settings.when != When.OFF,
        "reason": reason_for(settings),
        "waiting": waiting_for(settings),
        "unfinished": any(run.state in UNFINISHED for run in page),
    }
    return render(member.request, "rm_training/runs.html", context, status=status)
