"""The ranking form: fields named by letters, and what the page sends with them."""

from collections.abc import Mapping
from typing import Any

from django import forms

from ranking.models import RenderMode
from ranking.ratings import HIGHEST_RATING, LOWEST_RATING
from ranking.submit import Submission, tidy_note
from ranking.telemetry import read_telemetry

TIER, RATING, FLAG = "tier_", "rating_", "flag_"
MOST_TIERS = 9
LONGEST_NAME = 60  # characters of a flag; of a letter, more than enough
MOST_FLAGS = 12  # of one response


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
    note = forms.CharField(required=False, strip=False)
    replace = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        """Collect the fields of each letter; "" is unranked, and unrated."""
        cleaned = super().clean() or self.cleaned_data
        cleaned["ranks"] = {
            letter: _number(f"The tier of response {letter}", text, 1, MOST_TIERS)
            for letter, text in self.tiers().items()
            if text
        }
        cleaned["ratings"] = {
            letter: _number(
                f"The rating of response {letter}", text, LOWEST_RATING, HIGHEST_RATING
            )
            for letter, text in self.ratings().items()
            if text
        }
        return cleaned

    def tiers(self) -> dict[str, str]:
        """Letter → what its select said, to show the form again as it was sent."""
        return self._by_letter(TIER)

    def ratings(self) -> dict[str, str]:
        """Letter → what its rating said."""
        return self._by_letter(RATING)

    def flags(self) -> dict[str, list[str]]:
        """Letter → the flags that were set."""
        return {
            letter: [
                str(name)[: LONGEST_NAME + 1]
                for name in _all_values(self.data, f"{FLAG}{letter}")[: MOST_FLAGS + 1]
            ]
            for letter in self._by_letter(FLAG)
        }

    def render_mode(self) -> RenderMode | None:
        """How the texts were shown; None if the page did not say."""
        said = self.data.get("render_mode")
        return RenderMode(said) if said in RenderMode.values else None

    def submission(self) -> Submission:
        """What a valid form says."""
        return Submission(
            uuid=self.cleaned_data["submission_uuid"],
            ranks=self.cleaned_data["ranks"],
            ratings=self.cleaned_data["ratings"],
            flags=self.flags(),
            note=tidy_note(self.cleaned_data["note"]),
            render_mode=self.render_mode(),
            telemetry=read_telemetry(str(self.data.get("telemetry", ""))),
            replace=self.cleaned_data["replace"],
            sealed=str(self.data.get("submission_asked", "")),
        )

    def _by_letter(self, prefix: str) -> dict[str, str]:
        """For a name sent twice, the last value."""
        return {
            name.removeprefix(prefix)[:LONGEST_NAME]: str(self.data[name])[
                :LONGEST_NAME
            ]
            for name in self.data
            if name.startswith(prefix)
        }


def _all_values(data: Mapping[str, Any], name: str) -> list[Any]:
    """Of a QueryDict, which holds several for a name, or of a plain one."""
    getlist = getattr(data, "getlist", None)
    return getlist(name) if getlist else [data[name]]


def _number(what: str, text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise forms.ValidationError(
            f"{what} is {text!r}; it must be {lowest} to {highest}."
        )
    return int(text)
