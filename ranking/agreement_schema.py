"""The agreement report as the OpenAPI schema describes it.

The report itself is made by `ranking.agreement` and sent as it is: these classes write
its description. Every null has its reason, by path, in `undefined`.
"""

from typing import Any

from rest_framework import serializers

Given = serializers.Serializer[Any]


def _share() -> serializers.FloatField:
    return serializers.FloatField(read_only=True, allow_null=True)


def _count() -> serializers.IntegerField:
    return serializers.IntegerField(read_only=True)


def _interval() -> serializers.ListField:
    """95 %: from, to."""
    end = serializers.FloatField()
    return serializers.ListField(
        child=end, min_length=2, max_length=2, read_only=True, allow_null=True
    )


class StrictGiven(Given):
    """Of the pairs that both sides ordered strictly, those ordered the same."""

    agree = _count()
    comparable = _count()
    value = _share()
    ci = _interval()


class CreditGiven(Given):
    """Of all pairs: same is 1, a tie on one side ½."""

    credit = serializers.FloatField(read_only=True)
    comparable = _count()
    value = _share()
    ci = _interval()


class IntervalsGiven(Given):
    """95 % intervals of the numbers that stand alone."""

    tie_rate = _interval()
    kappa = _interval()
    alpha = _interval()
    kendall_tau_b = _interval()
    kendall_w = _interval()


class BehindGiven(Given):
    """How many units, rankings by two labelers and prompts the coefficients rest on."""

    alpha_units = _count()
    tau_pairs = _count()
    tau_undefined = _count()
    w_prompts = _count()


class ByKGiven(StrictGiven):
    """Prompts with `k` responses."""

    k = _count()


class ByDistanceGiven(StrictGiven):
    """Pairs that the closer of the two labelers put so many tiers apart."""

    distance = _count()


class ByTagGiven(StrictGiven):
    """Prompts with this tag."""

    tag = serializers.CharField(read_only=True)


class ByVersionGiven(StrictGiven):
    """Both rankings were made under this version of the instructions."""

    version = _count()


class ByWeekGiven(StrictGiven):
    """The later ranking was made in this ISO week (UTC), such as 2026-W47."""

    week = serializers.CharField(read_only=True)


class PositionBiasGiven(Given):
    """Slope of the rank on the place on the page: 0 is none, 1 the order shown."""

    slope = _share()
    ci = _interval()
    n = _count()


class LengthBiasGiven(Given):
    """How often the longer of two responses won."""

    longer_wins = _count()
    comparable = _count()
    value = _share()
    ci = _interval()


class LabelerGiven(Given):
    """One labeler: by name for admins, by pseudonym for researchers."""

    labeler = serializers.CharField(read_only=True)
    rankings = _count()
    tie_rate = _share()
    vs_others = StrictGiven(read_only=True)
    self_consistency = StrictGiven(read_only=True)
    median_seconds = _share()
    position_bias = PositionBiasGiven(read_only=True)
    length_bias = LengthBiasGiven(read_only=True)
    gold = StrictGiven(read_only=True)


class CellGiven(Given):
    """Two labelers with a strict pair in common."""

    a = serializers.CharField(read_only=True)
    b = serializers.CharField(read_only=True)
    agree = _count()
    comparable = _count()
    value = serializers.FloatField(read_only=True)


class AgreementGiven(Given):
    """How far the labelers of a project agree: what `manage.py agreement` prints."""

    project = serializers.CharField(read_only=True)
    filters = serializers.DictField(read_only=True)
    rankings = _count()
    labelers = _count()
    prompts = _count()
    prompts_with_overlap = _count()
    pairs = _count()
    ties = _count()
    tie_rate = _share()
    strict = StrictGiven(read_only=True)
    half_credit = CreditGiven(read_only=True)
    three_way = StrictGiven(read_only=True)
    kappa = _share()
    alpha = _share()
    kendall_tau_b = _share()
    kendall_w = _share()
    intervals = IntervalsGiven(read_only=True)
    n = BehindGiven(read_only=True)
    by_k = ByKGiven(many=True, read_only=True)
    by_rank_distance = ByDistanceGiven(many=True, read_only=True)
    by_tag = ByTagGiven(many=True, read_only=True)
    by_version = ByVersionGiven(many=True, read_only=True)
    by_week = ByWeekGiven(many=True, read_only=True)
    labelers_detail = LabelerGiven(many=True, read_only=True)
    matrix = CellGiven(many=True, read_only=True)
    undefined = serializers.DictField(
        child=serializers.CharField(), read_only=True, help_text="Path → reason."
    )


class OwnAgreementGiven(Given):
    """A labeler beside all others; where there is too little of it, `why` says so and
    the numbers are null."""

    value = _share()
    ci = _interval()
    comparable = serializers.IntegerField(read_only=True, allow_null=True)
    prompts = serializers.IntegerField(read_only=True, allow_null=True)
    why = serializers.CharField(read_only=True)
