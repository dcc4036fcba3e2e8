"""What a researcher may choose when retraining."""

from typing import Any, cast

from django import forms

from annotation.models import Project
from ranking.models import Dataset
from rm_training.config import ConfigError, TrainingConfig
from rm_training.registry import base_models

DEFAULTS = TrainingConfig()
LARGEST_SEED = 2**31 - 1
SETTINGS = (
    *("epochs", "lr", "lora_rank", "prompts_per_step", "max_steps", "patience"),
    *("labels", "ties", "loss", "seed"),
)


class RetrainForm(forms.Form):
    """The data, the base and the settings that matter most; the others keep the
    defaults of the paper's recipe."""

    base_model = forms.ChoiceField(
        label="Base model", help_text="The trunk starts from these weights."
    )
    dataset = forms.ChoiceField(
        required=False,
        help_text="A frozen dataset never changes, so a run can be repeated.",
    )
    epochs = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=DEFAULTS.epochs,
        help_text="Passes over the training prompts. More than one overfits quickly.",
    )
    lr = forms.FloatField(
        label="Learning rate",
        min_value=0,
        max_value=1,
        initial=DEFAULTS.lr,
        help_text="The peak; it warms up over 3 % of the steps and falls to a tenth.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    lora_rank = forms.ChoiceField(
        label="What learns",
        required=False,
        initial=DEFAULTS.lora_rank,
        choices=[
            (0, "All weights"),
            (16, "Adapters of rank 16 (LoRA)"),
            (64, "Adapters of rank 64 (LoRA)"),
        ],
        help_text="Adapters need less memory, and a learning rate near 1e-4.",
    )
    prompts_per_step = forms.IntegerField(
        label="Prompts per step",
        min_value=1,
        max_value=4096,
        initial=DEFAULTS.prompts_per_step,
        help_text="Each with all its responses and all their pairs.",
    )
    max_steps = forms.IntegerField(
        label="Steps at most",
        required=False,
        min_value=1,
        max_value=10_000_000,
        help_text="Empty: as many as the epochs take.",
    )
    patience = forms.IntegerField(
        label="Stop early after",
        required=False,
        min_value=0,
        max_value=1000,
        initial=DEFAULTS.patience,
        help_text="Held-out evaluations in a row without a better one. 0: never.",
    )
    labels = forms.ChoiceField(
        label="Several labelers",
        required=False,
        initial=DEFAULTS.labels,
        choices=[
            ("each", "Learn every order"),
            ("share", "Learn the share per pair"),
        ],
        help_text="The share who prefer a response is a soft label.",
    )
    ties = forms.ChoiceField(
        required=False,
        initial=DEFAULTS.ties,
        choices=[("drop", "Teach nothing"), ("soft", "Half a win each way")],
        help_text="Accuracy never counts them.",
    )
    loss = forms.ChoiceField(
        label="Loss",
        required=False,
        initial=DEFAULTS.loss,
        choices=[
            ("prompt_mean", "Prompts count the same"),
            ("pair_mean", "Pairs count the same"),
        ],
        help_text="Nine responses have six times as many pairs as four.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=LARGEST_SEED,
        initial=DEFAULTS.seed,
        help_text="Of the head's first weights and of the order of the prompts.",
    )

    def __init__(self, *args: Any, project: Project) -> None:
        """Offers the bases and datasets of this project only."""
        super().__init__(*args)
        self.label_suffix = ""
        self.bases = base_models(project)
        self.datasets = Dataset.objects.filter(project=project).order_by("-pk")
        base = cast(forms.ChoiceField, self.fields["base_model"])
        base.choices = self.bases
        dataset = cast(forms.ChoiceField, self.fields["dataset"])
        dataset.choices = [
            ("", "All rankings that count, frozen for this run"),
            *((frozen.name, _label(frozen)) for frozen in self.datasets),
        ]

    @property
    def has_bases(self) -> bool:
        """Whether there is anything to start from."""
        return bool(self.bases)

    def main_fields(self) -> list[forms.BoundField]:
        """What a run is about."""
        return [self["base_model"], self["dataset"]]

    def setting_fields(self) -> list[forms.BoundField]:
        """How it learns; the defaults are good."""
        return [self[name] for name in SETTINGS]

    def clean_lora_rank(self) -> int:
        """As a number; 0: all weights learn."""
        return int(self.cleaned_data["lora_rank"] or 0)

    def clean_dataset(self) -> Dataset | None:
        """The chosen dataset; None: freeze now."""
        name = self.cleaned_data["dataset"]
        return self.datasets.get(name=name) if name else None

    def clean(self) -> dict[str, Any]:
        """The settings as one checked TrainingConfig, under `config`."""
        cleaned = super().clean() or {}
        given = {
            name: cleaned[name]
            for name in SETTINGS
            if cleaned.get(name) not in (None, "")
        }
        try:
            cleaned["config"] = TrainingConfig.from_dict(given)
        except ConfigError as error:
            raise forms.ValidationError(str(error)) from error
        return cleaned


def _label(dataset: Dataset) -> str:
    pairs = dataset.counts["strict_pairs"]
    return f"{dataset.name}: {pairs} pairs, {dataset.created_at:%Y-%m-%d %H:%M} UTC"
