"""What admins set about a project. The overlap stands apart: changing it changes the
queue, so what would change is shown before it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, Sum
from django.forms import BoundField
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotation import queue
from annotation.access import Member, for_members
from annotation.models import Project, Prompt, Purpose, Role

MOST_FLAGS, LONGEST_FLAG = 12, 60
LARGEST_SHARE_OF_CHECKS = 0.5
SAVED = (
    "Saved. Prompts opened from now on follow it. Whoever has one open can submit it as"
    " their page asks for it."
)
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Project": ("title", "data_licence"),
    "The page": ("rate_first", "flags", "show_word_counts"),
    "The work": (
        "lease_minutes",
        "bad_prompt_votes",
        "editable_rankings",
        "editable_minutes",
    ),
    "Checks": ("gold_fraction", "repeat_fraction"),
    "What labelers see": ("labelers_see_agreement",),
}


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]  # not at run time
    """Everything but the overlap."""

    flags = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What labelers can say of a response besides its rank, one a line:"
        " “fails the instruction”, “hallucination”. What was said before stays.",
    )

    class Meta:
        model = Project
        fields = [name for names in GROUPS.values() for name in names]
        labels = {
            "data_licence": "Licence of the data",
            "rate_first": "Rate, then rank",
            "show_word_counts": "Show how many words a response has",
            "lease_minutes": "Minutes a prompt is held",
            "bad_prompt_votes": "Votes that take a bad prompt out",
            "editable_rankings": "Latest rankings that may be corrected",
            "editable_minutes": "Minutes in which they may be corrected",
            "gold_fraction": "Share of gold prompts",
            "repeat_fraction": "Share of repeated prompts",
            "labelers_see_agreement": "Show labelers their own agreement with others",
        }
        help_texts = {
            "labelers_see_agreement": "With its interval, once ten of their prompts"
            " can be compared; never whose rankings theirs are compared with."
        }

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, project: Project
    ) -> None:
        super().__init__(data, instance=project)
        self.initial["flags"] = "\n".join(project.flags)

    def clean_flags(self) -> list[str]:
        """A line each; blank lines mean nothing."""
        lines = str(self.cleaned_data["flags"]).splitlines()
        flags = [" ".join(line.split()) for line in lines if line.strip()]
        if len(flags) > MOST_FLAGS:
            raise forms.ValidationError(
                f"There are {len(flags)} flags; a page has room for {MOST_FLAGS}."
            )
        for flag in flags:
            if len(flag) > LONGEST_FLAG or not flag.isprintable():
                raise forms.ValidationError(
                    f"“{flag[:LONGEST_FLAG]}”: a flag is at most {LONGEST_FLAG}"
                    " printable characters."
                )
        if len({flag.casefold() for flag in flags}) < len(flags):
            raise forms.ValidationError("A flag is there twice.")
        return flags

    def clean(self) -> dict[str, Any]:
        """Checks together must leave half of the prompts to the work."""
        cleaned: dict[str, Any] = super().clean() or {}
        shares = (cleaned.get("gold_fraction"), cleaned.get("repeat_fraction"))
        if sum(share or 0 for share in shares) > LARGEST_SHARE_OF_CHECKS:
            raise forms.ValidationError(
                "Gold and repeated prompts together are more than half of what labelers"
                " get."
            )
        return cleaned

    def groups(self) -> Iterator[tuple[str, list[BoundField]]]:
        """The fields as the page shows them."""
        for title, names in GROUPS.items():
            yield title, [self[name] for name in names]

    def write(self) -> None:
        """Store these fields and no others: the queue writes the same row."""
        self.instance.save(update_fields=self.Meta.fields)


class OverlapForm(forms.Form):
    """How many labelers rank how many prompts."""

    overlap = forms.IntegerField(
        label="Labelers for a prompt", min_value=1, max_value=50
    )
    fraction = forms.FloatField(
        label="Share of prompts with that overlap",
        min_value=0,
        max_value=1,
        help_text="From 0 to 1. All other prompts get one labeler.",
    )


@dataclass(frozen=True)
class Overlap:
    """How many rankings a project asks for."""

    prompts: int  # of work
    overlapping: int  # with more than one labeler
    rankings: int  # over all of them


def overlap_now(project: Project) -> Overlap:
    """As the prompts are. One query."""
    work = Prompt.objects.filter(project=project, purpose=Purpose.WORK)
    counts = work.aggregate(
        prompts=Count("pk"),
        overlapping=Count("pk", filter=Q(overlap__gt=1)),
        rankings=Sum("overlap", default=0),
    )
    return Overlap(**counts)


def overlap_after(now: Overlap, *, overlap: int, fraction: float) -> Overlap:
    """As `queue.change_overlap` will leave it.

    Of 10 prompts a share of 0.25 with overlap 3: 2 prompts (2.5, to the even number)
    and 2 · 3 + 8 = 14 rankings.
    """
    overlapping = round(fraction * now.prompts) if overlap > 1 else 0
    rankings = overlapping * overlap + now.prompts - overlapping
    return Overlap(now.prompts, overlapping, rankings)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def project_settings(member: Member) -> HttpResponseBase:
    """All settings of the project; POST writes those of the first form."""
    # Its own copy: a form that is refused must not rename the project in the header.
    project = Project.objects.get(pk=member.project.pk)
    if member.request.method != "POST":
        return _settings_page(member, form=SettingsForm(project=project))
    form = SettingsForm(member.request.POST, project=project)
    if not form.is_valid():
        return _settings_page(member, form=form, status=422)
    form.write()
    messages.success(member.request, SAVED)
    return redirect("project_settings", project.slug)


@require_POST
@for_members(Role.ADMIN)
def project_overlap(member: Member) -> HttpResponseBase:
    """Show what another overlap would change; with `confirmed`, change it."""
    overlap = OverlapForm(member.request.POST)
    if not overlap.is_valid():
        return _settings_page(member, overlap=overlap, status=422)
    if "confirmed" not in member.request.POST:
        after = overlap_after(overlap_now(member.project), **overlap.cleaned_data)
        return _settings_page(member, overlap=overlap, after=after)
    try:
        queue.change_overlap(member.project, **overlap.cleaned_data)
    except queue.OverlapIsBusyError as error:
        overlap.add_error(None, str(error))
        return _settings_page(member, overlap=overlap, status=409)
    messages.success(
        member.request, "The overlap is changed. Rankings that were made are kept."
    )
    return redirect("project_settings", member.project.slug)


def _settings_page(
    member: Member,
    *,
    form: SettingsForm | None = None,
    overlap: OverlapForm | None = None,
    after: Overlap | None = None,
    status: int = 200,
) -> HttpResponse:
    """Two queries at most."""
    project = member.project
    as_it_is = {"overlap": project.overlap, "fraction": project.overlap_fraction}
    context = {
        "member": member,
        "form": form or SettingsForm(project=project),
        "overlap": overlap or OverlapForm(initial=as_it_is),
        "now": overlap_now(project),
        "after": after,
    }
    return render(member.request, "annotation/settings.html", context, status=status)
