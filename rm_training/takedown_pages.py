"""Taking a prompt down, and forgetting a labeler: what is touched, and the button.

Pages of the last room, because they name the datasets and the models that learned from
what is to go.
"""

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.access import Member, for_members
from annotation.forgetting import opens_more
from annotation.models import Membership, Prompt, Role
from annotation.takedown import copies_of
from ranking.holdings import Holding, datasets_with_labeler, datasets_with_prompt
from ranking.models import Ranking
from ranking.takedown import forget, take_down
from rm_training.registry import models_made_from


class TakedownForm(forms.Form):
    """Why, and the id typed again: there is no way back."""

    reason = forms.CharField(
        max_length=300,
        help_text="It stays on record, so do not repeat what must go.",
    )
    confirmed = forms.CharField(label="Type the id of the prompt to confirm")

    def __init__(self, data: object = None, *, wanted: str) -> None:
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or None
        self.wanted = wanted

    def clean_confirmed(self) -> str:
        """Word for word, so that nobody takes down the neighbour."""
        if self.cleaned_data["confirmed"] != self.wanted:
            raise forms.ValidationError("That is another id: nothing was changed.")
        return self.wanted


class ForgetForm(forms.Form):
    """A tick: there is no way back."""

    confirmed = forms.BooleanField(label="I know that this cannot be undone")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_members(Role.ADMIN)
def take_prompt_down(member: Member, pk: int) -> HttpResponseBase:
    """What a takedown would touch; POST does it."""
    prompts = Prompt.objects.filter(project=member.project).select_related("takedown")
    prompt = get_object_or_404(prompts, pk=pk)
    posted = member.request.POST if member.request.method == "POST" else None
    form = TakedownForm(posted, wanted=prompt.external_id)
    if posted is None or not form.is_valid():
        rankings = Ranking.objects.filter(assignment__prompt=prompt)
        context = _touched(member, datasets_with_prompt(prompt), rankings)
        context |= {"prompt": prompt, "form": form} | _copies(member, prompt)
        return _page(member, "rm_training/takedown.html", context, form)
    done = take_down(prompt, reason=form.cleaned_data["reason"], user=member.user)
    if done.is_new:
        messages.success(
            member.request,
            f"{prompt.external_id} is taken down: its texts are gone. Ids and ranks"
            f" are kept. Datasets marked: {len(done.datasets)}.",
        )
    else:
        messages.info(member.request, "It was taken down before. Nothing changed.")
    return redirect("prompt", member.project.slug, pk)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_members(Role.ADMIN)
def forget_labeler(member: Member, membership_id: int) -> HttpResponseBase:
    """What would be forgotten, and what stays; POST does it."""
    labelers = Membership.objects.filter(project=member.project, role=Role.LABELER)
    labeler = get_object_or_404(
        labelers.select_related("user", "project"), pk=membership_id
    )
    posted = member.request.POST if member.request.method == "POST" else None
    form = ForgetForm(posted)
    if posted is None or not form.is_valid():
        rankings = Ranking.objects.filter(assignment__labeler=labeler)
        context = _touched(member, datasets_with_labeler(labeler), rankings)
        account = labeler.user
        context |= {
            "labeler": labeler,
            "form": form,
            "account_stays": account is not None and opens_more(account, than=labeler),
        }
        return _page(member, "rm_training/forget.html", context, form)
    done = forget(labeler)
    if done.is_new:
        messages.success(
            member.request,
            f"Forgotten. Their rankings are kept under"
            f" {member.project.pseudonym(labeler.pk)}. Datasets marked:"
            f" {len(done.datasets)}.",
        )
    else:
        messages.info(member.request, "They were forgotten before. Nothing changed.")
    return redirect("members", member.project.slug)


def _copies(member: Member, prompt: Prompt) -> dict[str, object]:
    """Where else its texts stand: by name what this admin runs, of others how many."""
    copies = list(copies_of(prompt))
    admins = Membership.objects.filter(user=member.user, role=Role.ADMIN)
    own = set(admins.values_list("project", flat=True))
    mine = [copy for copy in copies if copy.project_id in own]
    return {"copies": mine, "other_copies": len(copies) - len(mine)}


def _touched(
    member: Member, holdings: list[Holding], rankings: QuerySet[Ranking]
) -> dict[str, object]:
    """What pages of both kinds list. Two queries and one when it is shown."""
    return {
        "member": member,
        "holdings": holdings,
        "models": models_made_from(one.dataset for one in holdings),
        "rankings": rankings.count(),
        "noted": rankings.exclude(note="").count(),
    }


def _page(
    member: Member, template: str, context: dict[str, object], form: forms.Form
) -> HttpResponse:
    status = 422 if form.is_bound else 200
    return render(member.request, template, context, status=status)
