"""`agreement SLUG`: how far the labelers of a project agree."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.management.projects import project_named
from ranking.dashboards import agreement_report
from ranking.filter_words import add_filter_arguments, filters_from_options
from ranking.filters import InvalidFilter
from ranking.templatetags.numbers import (
    coefficient,
    coefficient_interval,
    percent,
    percent_interval,
)


class Command(BaseCommand):
    """Prints the agreement report."""

    help = "Shows how far the labelers of a project agree, with intervals."

    def add_arguments(self, parser: CommandParser) -> None:
        """The project, the shared filters, and --json."""
        parser.add_argument("slug", help="the project")
        parser.add_argument("--json", action="store_true", help="the whole report")
        add_filter_arguments(parser, pool="random")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report, whole or in a few lines."""
        project = project_named(options["slug"])
        try:
            filters = filters_from_options(project, options, pool="random")
        except InvalidFilter as error:
            raise CommandError(str(error), returncode=2) from error
        report = agreement_report(project, filters)
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(summary(report)))


def summary(report: dict[str, Any]) -> list[str]:
    """The headline numbers, a line each, undefined ones with their reason."""
    lines = [
        f"{report['rankings']} rankings by {report['labelers']} labelers of"
        f" {report['prompts']} prompts, {report['prompts_with_overlap']} of them by"
        " two or more",
        _line("tie rate", percent(report["tie_rate"]), f"{report['pairs']} pairs"),
    ]
    for name in ("strict", "half_credit", "three_way"):
        block = report[name]
        interval = percent_interval(block["ci"])
        comparisons = f"{block['comparable']} comparisons"
        lines.append(_line(name, percent(block["value"]), interval, comparisons))
    for name in ("kappa", "alpha", "kendall_tau_b", "kendall_w"):
        interval = coefficient_interval(report["intervals"][name])
        lines.append(_line(name, coefficient(report[name]), interval))
    # Of the slices and labelers, --json and the page tell.
    reasons = {k: why for k, why in report["undefined"].items() if "." not in k}
    return [*lines, *(f"undefined: {name}: {why}" for name, why in reasons.items())]


def _line(name: str, value: str, *details: str) -> str:
    return f"{name:>14}  {value:>8}  {'  '.join(filter(None, details))}".rstrip()
