"""Forms of the project's own pages: strings in, domain values out."""

from collections.abc import Mapping
from typing import Any

from django import forms

from annotation.generation import models_on_offer
from annotation.models import MAX_TEXT_BYTES, Project
from annotation.sampling import (
    FEWEST_TEXTS,
    HIGHEST_SEED,
    HIGHEST_TEMPERATURE,
    MOST_NEW_TOKENS,
    MOST_TEXTS,
    GenerationSettings,
    SamplingSettings,
)

SAMPLING_FIELDS = ("k_min", "k_max", "temperature", "top_p", "max_new_tokens", "seed")
MOST_PROMPTS = 10_000_000


class NewProjectForm(forms.ModelForm):  # type: ignore[type-arg]  # not at run time
    """A site admin's new project."""

    class Meta:
        model = Project
        fields = ["title", "slug", "overlap", "overlap_fraction", "lease_minutes"]
        labels = {
            "slug": "Name in addresses",
            "overlap": "Labelers for a prompt",
            "overlap_fraction": "Share of prompts with that overlap",
            "lease_minutes": "Minutes a prompt is held",
        }
        help_texts = {"slug": "Letters, digits, hyphens and underscores."}


class VersionForm(forms.Form):
    """A new version of a text that everybody is to read."""

    def clean_text(self) -> str:
        """Line ends as on this system; browsers send CR LF."""
        text = str(self.cleaned_data["text"]).replace("\r\n", "\n")
        if not text.strip():
            raise forms.ValidationError("The text is empty.")
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise forms.ValidationError(
                f"The text is longer than {MAX_TEXT_BYTES:,} bytes."
            )
        return text


def _new_version(help_text: str) -> forms.CharField:
    return forms.CharField(
        label="New version",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16}),
        help_text=help_text,
    )


class InstructionsForm(VersionForm):
    """A new version of the instructions."""

    text = _new_version("Markdown. Prompts claimed from now on are ranked under it.")


class TermsForm(VersionForm):
    """A new version of the terms."""

    text = _new_version(
        "Markdown. Labelers get no further prompt until they have agreed to it."
    )


class GenerationForm(forms.Form):
    """What to sample, from which model on offer."""

    model = forms.ChoiceField(label="SFT model")
    k_min = forms.IntegerField(
        label="Fewest responses", min_value=FEWEST_TEXTS, max_value=MOST_TEXTS
    )
    k_max = forms.IntegerField(
        label="Most responses",
        min_value=FEWEST_TEXTS,
        max_value=MOST_TEXTS,
        help_text="Each prompt gets a number in this range, drawn evenly.",
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=HIGHEST_TEMPERATURE,
        step_size=0.05,
        help_text="Higher gives more varied responses.",
    )
    top_p = forms.FloatField(
        label="Top-p",
        min_value=0,
        max_value=1,
        step_size=0.01,
        help_text="Share of the probability that words are drawn from.",
    )
    max_new_tokens = forms.IntegerField(
        label="Longest response",
        min_value=1,
        max_value=MOST_NEW_TOKENS,
        help_text="In tokens; longer ones are cut and marked.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=HIGHEST_SEED,
        help_text="The same seed gives the same responses.",
    )
    limit = forms.IntegerField(
        label="Only so many prompts",
        min_value=1,
        max_value=MOST_PROMPTS,
        required=False,
        help_text="Empty: all that wait.",
    )
    retry_failed = forms.BooleanField(
        label="Try prompts again that failed", required=False
    )

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, project: Project
    ) -> None:
        names = ("sft_model", *SAMPLING_FIELDS)
        initial = {name: getattr(project, name) for name in names}
        super().__init__(data, initial=initial)
        self.initial["model"] = project.sft_model
        self.offered = models_on_offer(project)
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = self.offered

    def clean(self) -> dict[str, Any]:
        """Adds `settings`; what depends on two fields is refused as a whole."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            sampling = SamplingSettings(**{k: cleaned[k] for k in SAMPLING_FIELDS})
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        cleaned["settings"] = GenerationSettings(
            model=cleaned["model"], sampling=sampling, limit=cleaned["limit"]
        )
        return cleaned
