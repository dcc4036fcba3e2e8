"""What the API takes and gives, for its checks and for its schema.

What is refused here has the wrong shape. What a ranking must hold is decided where it
is stored.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rest_framework import serializers
from rest_framework.utils.serializer_helpers import BindingDict

from annotation.models import SkipReason
from ranking.asked import LONGEST_SEAL
from ranking.feedback import REVERSED, SAME, TIED
from ranking.models import RankingStatus, RenderMode
from ranking.ratings import HIGHEST_RATING, LONGEST_NOTE, LOWEST_RATING
from ranking.submit import Submission, tidy_note
from ranking.telemetry import measurements

MOST_TIERS = 9
MOST_NAMES, LONGEST_NAME = 20, 40  # more and longer than any letters
MOST_FLAGS, LONGEST_FLAG = 12, 60
LARGEST_REV = 2**31 - 1


class ByLetter(serializers.DictField):
    """An object whose keys are letters of the page."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what would only be said back at length."""
        if isinstance(data, Mapping) and (
            len(data) > MOST_NAMES or any(len(name) > LONGEST_NAME for name in data)
        ):
            raise serializers.ValidationError("These are not the letters of a page.")
        return super().to_internal_value(data)


# --- What is taken ----------------------------------------------------------------


class Body(serializers.Serializer[Any]):
    """A body of the labeler's flow, whose fields are made once and not for each body:
    they keep nothing of what they check, and copying them takes longer than that."""

    @property
    def fields(self) -> BindingDict:
        """Name → field, the same for all bodies of the class."""
        return _fields_of(type(self))


@cache
def _fields_of(body: type[Body]) -> BindingDict:
    their_owner = body()
    fields = BindingDict(their_owner)
    for name, field in their_owner.get_fields().items():
        fields[name] = field
    return fields


class ClaimBody(Body):
    """`prefetch`: load the next prompt ahead, for two minutes."""

    prefetch = serializers.BooleanField(default=False)


class Judgement(Body):
    """What a labeler says: letter → rank (1 is best, equal is a tie), letter → rating
    (7 is best), letter → flags, and a note."""

    ranks = ByLetter(
        child=serializers.IntegerField(min_value=1, max_value=MOST_TIERS),
    )
    ratings = ByLetter(
        child=serializers.IntegerField(
            min_value=LOWEST_RATING, max_value=HIGHEST_RATING
        ),
        required=False,
    )
    flags = ByLetter(
        child=serializers.ListField(
            child=serializers.CharField(
                max_length=LONGEST_FLAG, trim_whitespace=False, allow_blank=True
            ),
            max_length=MOST_FLAGS,
        ),
        required=False,
    )
    note = serializers.CharField(
        max_length=LONGEST_NOTE,
        trim_whitespace=False,
        allow_blank=True,
        required=False,
    )


class DraftBody(Judgement):
    """A ranking in the making; `rev` is the revision last seen, 0 at first. `replace`
    says that it corrects a ranking that is stored."""

    rev = serializers.IntegerField(min_value=0, max_value=LARGEST_REV)
    replace = serializers.BooleanField(default=False)

    def content(self) -> dict[str, Any]:
        """What is kept of a valid draft."""
        said = self.validated_data
        return {
            "ranks": said["ranks"],
            "ratings": said.get("ratings", {}),
            "flags": said.get("flags", {}),
            "note": said.get("note", ""),
        }


class SubmitBody(Judgement):
    """`submission_uuid` names this one act of submitting: send it again when no answer
    came. `submission_asked` is as the assignment gave it: the ranking is judged by what
    was asked for then. `replace` revises what is stored."""

    submission_uuid = serializers.UUIDField()
    submission_asked = serializers.CharField(
        max_length=LONGEST_SEAL, allow_blank=True, required=False
    )
    telemetry = serializers.JSONField(required=False, allow_null=True)
    render_mode = serializers.ChoiceField(RenderMode.choices, required=False)
    replace = serializers.BooleanField(default=False)

    def submission(self) -> Submission:
        """What a valid body says."""
        said = self.validated_data
        mode = said.get("render_mode")
        return Submission(
            uuid=said["submission_uuid"],
            ranks=said["ranks"],
            ratings=said.get("ratings", {}),
            flags=said.get("flags", {}),
            note=tidy_note(said.get("note", "")),
            render_mode=RenderMode(mode) if mode else None,
            telemetry=measurements(said.get("telemetry")),
            replace=said["replace"],
            sealed=said.get("submission_asked", ""),
        )


class SkipBody(Body):
    """Why a prompt is not ranked; `text` is needed with the reason `other`."""

    reason = serializers.ChoiceField(SkipReason.choices)
    text = serializers.CharField(
        max_length=LONGEST_NOTE,
        trim_whitespace=False,
        allow_blank=True,
        required=False,
    )
    active_ms = serializers.JSONField(required=False, allow_null=True)

    def active_seconds(self) -> float | None:
        """Time at work on it, as the page measured; None if it did not."""
        milliseconds = measurements(self.validated_data).get("active_ms")
        return None if milliseconds is None else milliseconds / 1000


# --- What is given ----------------------------------------------------------------


class TurnGiven(serializers.Serializer[Any]):
    """A message of the prompt, as it was written and as safe HTML."""

    role = serializers.ChoiceField(["system", "user", "assistant"], read_only=True)
    content = serializers.CharField(read_only=True)
    html = serializers.CharField(read_only=True)


class ResponseGiven(serializers.Serializer[Any]):
    """A response under its letter."""

    position = serializers.CharField(read_only=True)
    text = serializers.CharField(read_only=True)
    html = serializers.CharField(read_only=True)


class DraftGiven(Judgement):
    """A draft that was saved."""

    rev = serializers.IntegerField(read_only=True)
    saved_at = serializers.DateTimeField(read_only=True)


class AssignmentGiven(serializers.Serializer[Any]):
    """A prompt with its responses, the key for submitting their ranking, and what is
    asked besides the order: a rating of each response, if `rate_first`, and any of the
    `flags`. `submission_asked` says the same for the server to read."""

    token = serializers.CharField(read_only=True)
    prompt = TurnGiven(many=True, read_only=True)
    responses = ResponseGiven(many=True, read_only=True)
    instructions_version = serializers.IntegerField(read_only=True, allow_null=True)
    lease_until = serializers.DateTimeField(read_only=True)
    draft = DraftGiven(read_only=True, allow_null=True)
    submission_uuid = serializers.UUIDField(read_only=True)
    rate_first = serializers.BooleanField(read_only=True)
    flags = serializers.ListField(child=serializers.CharField(), read_only=True)
    submission_asked = serializers.CharField(read_only=True)


class ClaimGiven(serializers.Serializer[Any]):
    """Null when there is nothing to rank; `reason` says why, if it is not for lack of
    work."""

    assignment = AssignmentGiven(read_only=True, allow_null=True)
    reason = serializers.CharField(read_only=True, required=False)


class SavedGiven(serializers.Serializer[Any]):
    """The new revision of a draft."""

    rev = serializers.IntegerField(read_only=True)
    saved_at = serializers.DateTimeField(read_only=True)


class OtherDraftGiven(serializers.Serializer[Any]):
    """What another page saved in between. With `rev` 0 no draft stands: `draft` is the
    ranking that was submitted, or null."""

    rev = serializers.IntegerField(read_only=True)
    draft = Judgement(read_only=True, allow_null=True)


class HeartbeatGiven(serializers.Serializer[Any]):
    """Whether the prompt is still held, and for how long."""

    held = serializers.BooleanField(read_only=True)
    lease_until = serializers.DateTimeField(read_only=True, allow_null=True)
    seconds_left = serializers.IntegerField(read_only=True)


class ReleaseGiven(serializers.Serializer[Any]):
    """Whether it was held until now."""

    released = serializers.BooleanField(read_only=True)


class SkipGiven(serializers.Serializer[Any]):
    """The skip is stored."""

    skipped = serializers.BooleanField(read_only=True)


class PairGiven(serializers.Serializer[Any]):
    """Two responses of which the right order puts one above the other."""

    better = serializers.CharField(read_only=True)
    worse = serializers.CharField(read_only=True)
    yours = serializers.ChoiceField([SAME, TIED, REVERSED], read_only=True)


class FeedbackGiven(serializers.Serializer[Any]):
    """The right order beside theirs; `html` is what the project says to the prompt."""

    agree = serializers.IntegerField(read_only=True)
    comparable = serializers.IntegerField(read_only=True)
    gold = ByLetter(child=serializers.IntegerField(), read_only=True)
    yours = ByLetter(child=serializers.IntegerField(), read_only=True)
    pairs = PairGiven(many=True, read_only=True)
    html = serializers.CharField(read_only=True)


class SubmitGiven(serializers.Serializer[Any]):
    """`ranking` is the key under which it was stored; `replayed`: long since. Only a
    training prompt has `feedback`."""

    ranking = serializers.UUIDField(read_only=True)
    status = serializers.ChoiceField(RankingStatus.choices, read_only=True)
    replayed = serializers.BooleanField(read_only=True)
    feedback = FeedbackGiven(read_only=True, allow_null=True)


class RefusalGiven(serializers.Serializer[Any]):
    """Nothing was stored: what to mend, by letters."""

    message = serializers.CharField(read_only=True)
    missing = serializers.ListField(child=serializers.CharField(), read_only=True)
    unknown = serializers.ListField(child=serializers.CharField(), read_only=True)


class ConflictGiven(serializers.Serializer[Any]):
    """Another ranking is stored, in the order `stored`. With `may_replace` the same
    body under the fresh `submission_uuid`, with `replace`, revises it."""

    message = serializers.CharField(read_only=True)
    stored = ByLetter(child=serializers.IntegerField(), read_only=True)
    may_replace = serializers.BooleanField(read_only=True)
    submission_uuid = serializers.UUIDField(read_only=True)


class CompareGiven(serializers.Serializer[Any]):
    """How alike two responses are (2M/T over words; null where that would take too
    long), and both with their differences marked, from 0.5 on."""

    ratio = serializers.FloatField(read_only=True, allow_null=True)
    a = serializers.CharField(read_only=True, allow_null=True)
    b = serializers.CharField(read_only=True, allow_null=True)


class RankedGiven(serializers.Serializer[Any]):
    """A prompt that was ranked, and until when the ranking may be corrected."""

    token = serializers.CharField(read_only=True)
    submitted_at = serializers.DateTimeField(read_only=True)
    status = serializers.ChoiceField(RankingStatus.choices, read_only=True)
    editable_until = serializers.DateTimeField(read_only=True, allow_null=True)
