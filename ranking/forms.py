"""The ranking form: selects named by letters, and what the page sends with them."""

from collections.abc import Mapping
from typing import Any

from django import forms

from ranking.submit import Submission
from ranking.telemetry import read_telemetry

TIER_PREFIX = "tier_"
MOST_TIERS = 9


class RankingForm(forms.Form):
    """Turns a post into a `Submission`.

    Only what cannot be a ranking at all is refused here. Whether it is complete is
    decided where it is stored, under the lock.
    """

    submission_uuid = forms.UUIDField(
        error_messages={
            "required": "The page sent no submission key. Submit again.",
            "invalid": "The page sent a broken submission key. Submit again.",
        }
    )
    replace = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        """Collect the selects; "" is unranked."""
        cleaned = super().clean() or self.cleaned_data
        cleaned["ranks"] = {
            letter: self._tier(letter, text)
            for letter, text in self.tiers().items()
            if text
        }
        return cleaned

    def tiers(self) -> dict[str, str]:
        """Letter → what its select said, to show the form again as it was sent."""
        return {
            name.removeprefix(TIER_PREFIX)[:20]: str(value)[:20]
            for name, value in _last_values(self.data).items()
            if name.startswith(TIER_PREFIX)
        }

    def submission(self) -> Submission:
        """What a valid form says."""
        return Submission(
            uuid=self.cleaned_data["submission_uuid"],
            ranks=self.cleaned_data["ranks"],
            telemetry=read_telemetry(str(self.data.get("telemetry", ""))),
            replace=self.cleaned_data["replace"],
        )

    def _tier(self, letter: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_TIERS):
            raise forms.ValidationError(
                f"The tier of response {letter} is {text!r}; it must be 1 to"
                f" {MOST_TIERS}."
            )
        return int(text)


def _last_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """A QueryDict as a plain one: for a name sent twice, the last value."""
    return {name: data[name] for name in data}
