"""The line of the test that gates entry, and how long a test must be to reach it."""

from collections.abc import Sequence
from math import floor
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from annotation.access import Member, for_members
from annotation.models import Project, Role
from ranking.entry import pairs_of_the_test
from ranking.gold import fewest_prompts, reach

# Lines and sizes of prompts that the page's table is about.
LINES: Final = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
RESPONSES: Final = (4, 6, 9)
NO_TEST = (
    "There are no qualification prompts yet. Import them first, with their gold ranks:"
    " without them no labeler could pass."
)


class ThresholdForm(forms.ModelForm):  # type: ignore[type-arg]  # not at run time
    """The share of right pairs that a labeler's whole interval must reach."""

    qualification_threshold = forms.FloatField(
        label="Share needed to qualify",
        required=False,
        min_value=0,
        max_value=1,
        help_text="From 0 to 1, of the strict pairs of the test. Empty: no test, and"
        " labelers are handed work after their training.",
    )

    class Meta:
        model = Project
        fields = ["qualification_threshold"]

    def clean_qualification_threshold(self) -> float | None:
        """A gate needs a test behind it that somebody can pass."""
        threshold: float | None = self.cleaned_data["qualification_threshold"]
        pairs = pairs_of_the_test(self.instance)
        if threshold is not None and not pairs:
            raise forms.ValidationError(NO_TEST)
        if threshold is not None and not can_be_passed(pairs, threshold):
            raise forms.ValidationError(why_nobody_passes(pairs, threshold))
        return threshold


def can_be_passed(pairs: Sequence[int], threshold: float) -> bool:
    """Whether somebody without a mistake passes a test of such prompts."""
    highest = reach(pairs)
    return highest is not None and highest >= threshold


def why_nobody_passes(pairs: Sequence[int], threshold: float) -> str:
    """What the test is worth, and what would help; for a test that is too short."""
    highest = reach(pairs)
    if highest is None:
        return (
            "Nobody could pass: fewer than two prompts of the test have a strict pair"
            " in their gold order, and one prompt proves nothing. Import more."
        )
    advice = f"Set at most {floor(highest * 100) / 100:.2f}"
    alike = fewest_prompts(threshold, max(1, round(sum(pairs) / len(pairs))))
    if alike is not None:
        advice += f", or import more: it takes some {alike} prompts like these"
    return (
        f"Nobody could pass: {len(pairs)} prompts without a mistake prove"
        f" {highest * 100:.1f} % and no more. {advice}."
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def qualification(member: Member) -> HttpResponseBase:
    """Where the line is, what the present test can prove, and how to change it."""
    # Its own copy: a form that is refused must change nothing else on the page.
    project = Project.objects.get(pk=member.project.pk)
    if member.request.method != "POST":
        return _page(member, ThresholdForm(instance=project))
    form = ThresholdForm(member.request.POST, instance=project)
    if not form.is_valid():
        return _page(member, form, status=422)
    project.save(update_fields=["qualification_threshold"])
    messages.success(
        member.request,
        "Saved. Whoever has passed or failed already stays so; all others are measured"
        " by it.",
    )
    return redirect("qualification", project.slug)


def _page(member: Member, form: ThresholdForm, status: int = 200) -> HttpResponse:
    """One query of its own."""
    pairs = pairs_of_the_test(member.project)
    threshold = member.project.qualification_threshold
    stuck = ""
    if threshold is not None and not can_be_passed(pairs, threshold):
        stuck = why_nobody_passes(pairs, threshold) if pairs else NO_TEST
    context: dict[str, Any] = {
        "member": member,
        "form": form,
        "threshold": threshold,
        "prompts": len(pairs),
        "pairs": sum(pairs),
        "reach": reach(pairs),
        "stuck": stuck,
        "sizes": [(k, k * (k - 1) // 2) for k in RESPONSES],
        "lengths": [
            (line, [fewest_prompts(line, k * (k - 1) // 2) for k in RESPONSES])
            for line in LINES
        ],
    }
    return render(member.request, "ranking/qualification.html", context, status=status)
