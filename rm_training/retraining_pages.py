"""When a project trains by itself, and when a new model is put to use."""

from django.contrib import messages
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from annotation.access import Member, for_members
from rm_training.models import Retraining, When
from rm_training.registry import retraining_of
from rm_training.retraining import reason_for, waiting_for
from rm_training.retraining_form import RetrainingForm
from rm_training.views import TRAINERS

TIMING = ("when", "weekday", "hour")


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(*TRAINERS)
def retraining(member: Member) -> HttpResponse:
    """The settings, and what is waiting; POST saves them."""
    settings = retraining_of(member.project)
    if member.request.method != "POST":
        return _page(member, settings, RetrainingForm(settings=settings))
    form = RetrainingForm(member.request.POST, settings=settings)
    if not form.is_valid():
        return _page(member, settings, form, status=422)
    _save(member, settings, form)
    messages.success(member.request, "Saved.")
    return redirect("retraining", member.project.slug)


def _save(member: Member, settings: Retraining, form: RetrainingForm) -> None:
    """Times of a schedule that are past when it is made are not made up for."""
    wanted = form.settings()
    if any(getattr(settings, name) != wanted[name] for name in TIMING):
        wanted["served_until"] = Now()
    Retraining.objects.update_or_create(
        project=member.project,
        defaults=wanted | {"changed_by": member.user, "changed_at": Now()},
    )


def _page(
    member: Member, settings: Retraining, form: RetrainingForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "member": member,
        "form": form,
        "settings": settings,
        "is_on": settings.when != When.OFF,
        "reason": reason_for(settings),
        "waiting": waiting_for(settings),
    }
    return render(member.request, "rm_training/retraining.html", context, status=status)
