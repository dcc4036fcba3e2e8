"""What the API takes and gives of datasets."""

from typing import Any

from rest_framework import serializers

from annotation.jobs import JobState
from ranking.freeze_pages import LARGEST_SEED


class FreezeBody(serializers.Serializer[Any]):
    """Which rankings, by the filters of `export_dataset`; none: all that count."""

    since = serializers.CharField(required=False)
    until = serializers.CharField(required=False)
    labeler = serializers.ListField(child=serializers.CharField(), default=list)
    without_labeler = serializers.ListField(child=serializers.CharField(), default=list)
    k = serializers.ListField(child=serializers.IntegerField(), default=list)
    tag = serializers.ListField(child=serializers.CharField(), default=list)
    instructions_version = serializers.ListField(
        child=serializers.IntegerField(), default=list
    )
    pool = serializers.CharField(required=False)
    include = serializers.ListField(child=serializers.CharField(), default=list)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=LARGEST_SEED)


class DatasetGiven(serializers.Serializer[Any]):
    """A frozen dataset. It never changes."""

    name = serializers.CharField()
    created_at = serializers.DateTimeField(read_only=True)
    content_sha256 = serializers.CharField(read_only=True)
    filters = serializers.JSONField()
    seed = serializers.IntegerField()
    counts = serializers.JSONField()


class DatasetsGiven(serializers.Serializer[Any]):
    """A page of the datasets, newest first."""

    datasets = DatasetGiven(many=True)
    older = serializers.IntegerField(allow_null=True)


class FoldsGiven(serializers.Serializer[Any]):
    """Which labelers, by pseudonym, to hold out together."""

    count = serializers.IntegerField()
    seed = serializers.IntegerField()
    labelers = serializers.DictField(child=serializers.IntegerField())


class ExportGiven(serializers.Serializer[Any]):
    """A data file that is written (`state` is done), or that a worker is at.

    `size` in bytes, `sha256` and `rows` once it is done; `reason` of a failure. An old
    file is removed at `removed_at`: who asks for it then has it written again.
    """

    id = serializers.IntegerField(source="pk")
    file = serializers.CharField(source="choice.name", read_only=True)
    kind = serializers.CharField(read_only=True)
    format = serializers.CharField(read_only=True)
    disagreement = serializers.CharField(read_only=True)
    split = serializers.CharField(read_only=True)
    state = serializers.ChoiceField(choices=JobState.choices, read_only=True)
    reason = serializers.CharField()
    prompts_done = serializers.IntegerField()
    prompts_total = serializers.IntegerField()
    size = serializers.IntegerField()
    rows = serializers.IntegerField()
    sha256 = serializers.CharField()
    removed_at = serializers.DateTimeField(allow_null=True)


class DatasetDetailGiven(DatasetGiven):
    """With the prompts of each split, folds by labeler, losses, and its files."""

    splits = serializers.DictField(child=serializers.IntegerField())
    folds = FoldsGiven()
    losses = serializers.ListField(child=serializers.CharField())
    files = serializers.DictField(child=serializers.CharField())
    exports = ExportGiven(many=True)


class FreezeGiven(serializers.Serializer[Any]):
    """A freeze that a worker is at; `dataset` once it is done."""

    id = serializers.IntegerField(source="pk")
    state = serializers.ChoiceField(choices=JobState.choices, read_only=True)
    reason = serializers.CharField()
    prompts_done = serializers.IntegerField()
    prompts_total = serializers.IntegerField()
    dataset = serializers.CharField(source="dataset.name", default=None)


class CancelledGiven(serializers.Serializer[Any]):
    """Whether this call stopped it."""

    changed = serializers.BooleanField()


class MatchingGiven(serializers.Serializer[Any]):
    """What matches at this moment."""

    rankings = serializers.IntegerField()
    prompts = serializers.IntegerField()
    labelers = serializers.IntegerField()
    strict_pairs = serializers.IntegerField()
    ties = serializers.IntegerField()


class CameAndWentGiven(serializers.Serializer[Any]):
    """How many came, and how many went."""

    added = serializers.IntegerField()
    removed = serializers.IntegerField()


class LabelerChangeGiven(serializers.Serializer[Any]):
    """Rankings of one labeler, by pseudonym."""

    labeler = serializers.CharField(read_only=True)
    before = serializers.IntegerField()
    after = serializers.IntegerField()


class FilterChangeGiven(serializers.Serializer[Any]):
    """A filter that differs; null: not set."""

    name = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()


class DiffGiven(serializers.Serializer[Any]):
    """From one dataset to another."""

    words = serializers.CharField(source="in_words")
    rankings = CameAndWentGiven()
    corrected = serializers.IntegerField()
    prompts = CameAndWentGiven()
    strict_pairs = serializers.IntegerField()
    labelers_changed = CameAndWentGiven()
    labelers = LabelerChangeGiven(many=True)
    splits = serializers.DictField(
        child=serializers.ListField(child=serializers.IntegerField())
    )
    filters = FilterChangeGiven(many=True)


class HeldGiven(serializers.Serializer[Any]):
    """Ids of rankings that a dataset holds, lowest first; `after` asks for more."""

    rankings = serializers.ListField(child=serializers.CharField())
    after = serializers.IntegerField(allow_null=True)
