"""What a project's researchers set about retraining and promotion."""

from typing import Any

from django import forms

from rm_training.forms import RetrainForm
from rm_training.models import Retraining, Weekday, When
from rm_training.promotion import MARGIN_POINTS

OWN = ("when", "every_rankings", "weekday", "hour", "margin")


class RetrainingForm(RetrainForm):
    """The settings of `RetrainForm`, for runs that nobody asks for by hand."""

    when = forms.ChoiceField(choices=When, label="Train by itself")
    every_rankings = forms.IntegerField(
        label="New rankings",
        min_value=1,
        max_value=10_000_000,
        help_text="For “after so many”: rankings that count and no run has had yet.",
    )
    weekday = forms.TypedChoiceField(
        choices=Weekday, coerce=int, help_text="For “every week”."
    )
    hour = forms.IntegerField(
        label="Hour (UTC)",
        min_value=0,
        max_value=23,
        help_text="For a schedule. A run starts within a minute or two of it.",
    )
    margin = forms.FloatField(
        label="Margin in points",
        required=False,
        min_value=0,
        max_value=100,
        initial=MARGIN_POINTS,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=(
            "A new model is put to use by itself if the lower end of the 95 % interval "
            "of its accuracy less that of the model in use is above minus this. Empty: "
            "a person always decides."
        ),
    )

    def __init__(self, *args: Any, settings: Retraining) -> None:
        """Offers the bases of the settings' project only."""
        super().__init__(*args, project=settings.project)
        del self.fields["dataset"]
        self.fields["base_model"].required = False  # it is asked for by `clean`
        stored = {name: getattr(settings, name) for name in OWN}
        if settings.base_model:
            stored["base_model"] = settings.base_model
        self.initial = {**stored, **settings.config}

    def main_fields(self) -> list[forms.BoundField]:
        """When, and from what."""
        return [self[name] for name in ("when", "every_rankings", "weekday", "hour")]

    def clean(self) -> dict[str, Any]:
        """A run that nobody watches needs a base; without one none can be due."""
        cleaned = super().clean()
        if cleaned.get("when") != When.OFF and not cleaned.get("base_model"):
            self.add_error(
                *("base_model", "Choose what a run starts from.")
                if self.bases
                else ("when", "There is no base model to start from.")
            )
        return cleaned

    def settings(self) -> dict[str, Any]:
        """The checked values, by the names of the row's columns."""
        cleaned = self.cleaned_data
        given = {name: cleaned[name] for name in OWN}
        return given | {
            "base_model": cleaned.get("base_model") or "",
            "config": cleaned["config"].to_dict(),
        }
