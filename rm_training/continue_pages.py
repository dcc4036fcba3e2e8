"""The buttons of a run that ended without a model: go on with it, or run it again."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from annotation.access import Member, for_members
from rm_training import continuing
from rm_training.runs import RunRefusedError
from rm_training.views import TRAINERS, run_of


@require_POST
@for_members(*TRAINERS)
def continue_run(member: Member, pk: int) -> HttpResponse:
    """Queue the run again, from its newest checkpoint."""
    run = run_of(member, pk)
    try:
        changed = continuing.continue_run(run, user=member.user)
    except RunRefusedError as refusal:
        messages.error(member.request, f"Nothing was queued. {refusal}")
    else:
        if changed:
            messages.success(member.request, f"Run {run.pk} goes on.")
        else:
            messages.warning(
                member.request, f"Run {run.pk} is {run.state}: nothing was changed."
            )
    return redirect("run", member.project.slug, run.pk)


@require_POST
@for_members(*TRAINERS)
def run_again(member: Member, pk: int) -> HttpResponse:
    """Queue a run with the same data, base and settings, and go to its page."""
    run = run_of(member, pk)
    try:
        run = continuing.run_again(run, user=member.user)
    except RunRefusedError as refusal:
        messages.error(member.request, f"Nothing was queued. {refusal}")
    return redirect("run", member.project.slug, run.pk)
