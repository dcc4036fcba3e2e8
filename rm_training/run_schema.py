"""What the API takes and gives of training runs and reward models."""

from typing import Any

from rest_framework import serializers

from annotation.jobs import JobState


class RunBody(serializers.Serializer[Any]):
    """A run to be queued. Without a dataset, all rankings that count are frozen: by
    the worker where they are many."""

    base_model = serializers.CharField(max_length=500)
    dataset = serializers.CharField(required=False, max_length=100)
    config = serializers.DictField(required=False, default=dict)


class RunGiven(serializers.Serializer[Any]):
    """A training run. `model` is the id of what it published.

    `dataset` is null while the worker freezes it: so many prompts of so many are done.
    """

    id = serializers.IntegerField(source="pk")
    state = serializers.ChoiceField(choices=JobState.choices, read_only=True)
    reason = serializers.CharField()
    dataset = serializers.CharField(source="dataset.name", default=None)
    prompts_done = serializers.IntegerField(read_only=True)
    prompts_total = serializers.IntegerField(read_only=True)
    base_model = serializers.CharField()
    config = serializers.JSONField()
    attempt = serializers.IntegerField(read_only=True)
    step = serializers.IntegerField()
    steps_total = serializers.IntegerField()
    phase = serializers.CharField()
    created_at = serializers.DateTimeField(read_only=True)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    model = serializers.IntegerField(source="reward_model.pk", default=None)


class RunQueuedGiven(RunGiven):
    """With what the broker says: where it is not "ok", the run waits for its return."""

    broker = serializers.CharField()


class RunsGiven(serializers.Serializer[Any]):
    """A page of the runs, newest first."""

    runs = RunGiven(many=True)
    older = serializers.IntegerField(allow_null=True)


class LogLineGiven(serializers.Serializer[Any]):
    """A line of a run's log."""

    at = serializers.DateTimeField(source="created_at")
    attempt = serializers.IntegerField(read_only=True)
    kind = serializers.CharField()
    text = serializers.CharField()


class RunDetailGiven(RunGiven):
    """With the newest step's numbers, the held-out evaluations, and the log.

    `continues_from`: of a run that failed or was cancelled, the step after which its
    newest checkpoint was written.
    """

    latest = serializers.JSONField()
    valid1 = serializers.ListField(child=serializers.JSONField())
    continues_from = serializers.IntegerField(allow_null=True)
    log = LogLineGiven(many=True)


class ModelGiven(serializers.Serializer[Any]):
    """A published reward model. `comparison` is with the one in use before it."""

    id = serializers.IntegerField(source="pk")
    run = serializers.IntegerField(source="run_id")
    dataset = serializers.CharField(source="run.dataset.name")
    folder = serializers.CharField()
    manifest_sha256 = serializers.CharField(read_only=True)
    metrics = serializers.JSONField()
    comparison = serializers.JSONField()
    in_use = serializers.BooleanField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)


class ModelsGiven(serializers.Serializer[Any]):
    """A page of the models, newest first."""

    models = ModelGiven(many=True)
    older = serializers.IntegerField(allow_null=True)


class CancelledRunGiven(serializers.Serializer[Any]):
    """Whether this call stopped it."""

    changed = serializers.BooleanField()


class ContinuedRunGiven(serializers.Serializer[Any]):
    """Whether this call queued it; false where it is under way or done."""

    changed = serializers.BooleanField()
