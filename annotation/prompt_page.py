"""One prompt as admins see it: who skipped it and why, and taking it out."""

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotation import queue
from annotation.access import Member, for_members
from annotation.models import Prompt, PromptRejection, Role, Skip, SkipReason
from annotation.rendering import render as markdown

MOST_SKIPS = 200


class TakeOutForm(forms.Form):
    """Why a prompt is taken out."""

    reason = forms.CharField(
        label="Why?",
        max_length=PromptRejection._meta.get_field("reason").max_length,
        help_text="Other admins read it. Labelers do not.",
    )


@require_safe
@for_members(Role.ADMIN)
def prompt(member: Member, pk: int) -> HttpResponse:
    """The prompt, its skips with their texts, and whether it is out. Three queries."""
    return _prompt_page(member, _prompt_of(member, pk), TakeOutForm())


@require_POST
@for_members(Role.ADMIN)
def take_out(member: Member, pk: int) -> HttpResponseBase:
    """Take the prompt out of the queue and of datasets to come."""
    found = _prompt_of(member, pk)
    form = TakeOutForm(member.request.POST)
    if not form.is_valid():
        return _prompt_page(member, found, form, status=422)
    queue.reject_prompt(found, reason=form.cleaned_data["reason"], user=member.user)
    messages.success(
        member.request,
        "Taken out. Nobody else is asked to rank it; what was ranked is kept, and new"
        " datasets leave it out.",
    )
    return redirect("prompt", member.project.slug, pk)


@require_POST
@for_members(Role.ADMIN)
def restore(member: Member, pk: int) -> HttpResponseBase:
    """Put the prompt back where it was."""
    try:
        restored = queue.restore_prompt(_prompt_of(member, pk))
    except queue.TakenDownError as error:
        messages.error(member.request, str(error))
        return redirect("prompt", member.project.slug, pk)
    if restored:
        messages.success(
            member.request,
            "Put back. Those who called it bad before do not count again.",
        )
    else:
        messages.info(member.request, "The prompt was not out.")
    return redirect("prompt", member.project.slug, pk)


def _prompt_of(member: Member, pk: int) -> Prompt:
    prompts = Prompt.objects.filter(project=member.project)
    return get_object_or_404(
        prompts.select_related("rejection__rejected_by", "takedown"), pk=pk
    )


def skips_of(prompt: Prompt) -> QuerySet[Skip]:
    """The newest first, with who skipped."""
    skips = Skip.objects.filter(assignment__prompt=prompt)
    return skips.select_related("assignment__labeler").order_by("-pk")


def bad_prompt_votes(prompt: Prompt) -> int:
    """How many labelers called it bad since it was put back last. One query."""
    votes = Q(reason=SkipReason.BAD_PROMPT)
    if prompt.restored_at is not None:
        votes &= Q(skipped_at__gt=prompt.restored_at)
    labelers = Count("assignment__labeler", distinct=True, filter=votes)
    skips = Skip.objects.filter(assignment__prompt=prompt)
    return int(skips.aggregate(labelers=labelers)["labelers"])


def _prompt_page(
    member: Member, found: Prompt, form: TakeOutForm, status: int = 200
) -> HttpResponse:
    turns = [
        {"role": message["role"], "html": markdown(message["content"])}
        for message in found.messages
    ]
    context = {
        "member": member,
        "prompt": found,
        "turns": turns,
        "rejection": getattr(found, "rejection", None),
        "takedown": getattr(found, "takedown", None),
        "skips": skips_of(found)[:MOST_SKIPS],
        "votes": bad_prompt_votes(found),
        "form": form,
    }
    return render(member.request, "annotation/prompt.html", context, status=status)
