"""What the evaluation of a run's model says, on its page."""

from typing import Any

from django import template

from annotation.access import Member
from rm_training.evaluation.exhibits import exhibits, facts, headline, reported
from rm_training.evaluation.page import NAMES
from rm_training.evaluation.words import caution
from rm_training.models import TrainingRun

register = template.Library()


@register.inclusion_tag("rm_training/_evaluation.html")
def evaluation(run: TrainingRun, member: Member) -> dict[str, Any]:
    """The reported split with its figures; nothing where there is no evaluation."""
    model = getattr(run, "reward_model", None)
    report: dict[str, Any] | None = model.evaluation if model else None
    context: dict[str, Any] = {"run": run, "member": member, "report": report}
    split = reported(report) if report else None
    if not report or not split:
        return context
    return context | {
        "split": split,
        "title": NAMES.get(split, split),
        "size": report["splits"][split]["size"],
        "caution": caution(report["splits"][split]["size"]["prompts"]),
        "left_out": report["left_out"].get(split, 0),
        "headline": headline(report, split),
        "exhibits": exhibits(report["splits"][split]),
        "facts": facts(report, split),
        "checks": report["invariances"],
    }
