"""All labelers of a project beside each other: what they did, and how sure it is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet

from annotation.models import Membership, Project, Qualification, Role
from ranking.csv_cells import neutral
from ranking.filters import Filters
from ranking.models import Withdrawal
from ranking.quality_cards import Card, cards
from ranking.quality_lines import Measure
from ranking.quality_rows import Activity, activities, worked_of

RECENT: Final = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One labeler of the list."""

    card: Card
    activity: Activity
    state: str  # in a word or two
    flagged: tuple[str, ...]
    undecided: tuple[str, ...]

    @property
    def name(self) -> str:
        """What they are called."""
        return self.card.labeler.name


def labelers_list(project: Project, filters: Filters) -> list[Row]:
    """Everybody who ranks, by name; numbers of what matches. Five queries, whatever
    their number."""
    people = list(_people(project))
    worked = worked_of(project, filters)
    did = activities(project, worked, since=datetime.now(UTC) - RECENT)
    return [
        Row(
            card=card,
            activity=did.get(card.labeler.pk, Activity()),
            state=state_of(card.labeler, project),
            flagged=tuple(card.flagged()),
            undecided=tuple(card.undecided()),
        )
        for card in cards(project, people, worked, filters)
    ]


def _people(project: Project) -> QuerySet[Membership]:
    """Also imported labelers, who have no account."""
    in_force = Withdrawal.objects.in_force().filter(labeler=OuterRef("pk"))
    return (
        Membership.objects.filter(project=project, role=Role.LABELER)
        .annotate(is_withdrawn=Exists(in_force))
        .select_related("project")
        .order_by("name", "pk")
    )


def state_of(labeler: Membership, project: Project) -> str:
    """What keeps them from work, the weightiest first; `active` if nothing does."""
    tested = project.qualification_threshold is not None
    states = {
        "withdrawn": getattr(labeler, "is_withdrawn", False),
        "imported": labeler.user_id is None,
        "paused": labeler.paused_at is not None,
        "not qualified": labeler.qualification == Qualification.FAILED,
        "in test": tested and labeler.qualification == Qualification.PENDING,
    }
    return next((state for state, holds in states.items() if holds), "active")


# --- In which order ---------------------------------------------------------------

Key = Callable[[Row], float | None]
KEYS: Final[dict[str, Key]] = {
    "rankings": lambda row: row.activity.rankings,
    "recent": lambda row: row.activity.recent,
    "active": lambda row: row.activity.last_seconds,
    "agreement": lambda row: row.card.agreement.value,
    "ties": lambda row: row.card.tie_rate.own.value,
    "pace": lambda row: row.card.median_pace,
    "gold": lambda row: row.card.gold.value,
    "self": lambda row: row.card.self_consistency.value,
    "flagged": lambda row: len(row.flagged),
}


def in_order(rows: Iterable[Row], wanted: str) -> list[Row]:
    """By `wanted`, a key from the smallest on, with "-" before it from the largest on;
    where it is undefined, last. Anything else: by name."""
    by_name = sorted(rows, key=lambda row: (row.name.casefold(), row.card.labeler.pk))
    key = KEYS.get(wanted.removeprefix("-"))
    if key is None:
        return by_name[::-1] if wanted == "-name" else by_name
    known = [row for row in by_name if key(row) is not None]
    unknown = [row for row in by_name if key(row) is None]
    known.sort(key=lambda row: key(row) or 0.0, reverse=wanted.startswith("-"))
    return known + unknown


# --- As a file --------------------------------------------------------------------

COLUMNS: Final = (
    *("labeler", "state", "rankings", "last_7_days", "last_active"),
    *("agreement", "agreement_low", "agreement_high", "agreement_prompts"),
    *("tie_rate", "tie_rate_of_others", "median_seconds_per_100_words"),
    *("gold", "gold_low", "gold_high", "gold_prompts"),
    *("self_consistency", "self_consistency_low", "self_consistency_high"),
    *("self_consistency_prompts", "flagged", "undecided"),
)
Cell = str | int | float | None


def cells(row: Row) -> Iterator[Cell]:
    """One line of the file; an undefined number is an empty cell."""
    last_at = row.activity.last_at
    yield from (neutral(row.name), row.state)
    yield from (row.activity.rankings, row.activity.recent)
    yield None if last_at is None else last_at.isoformat()
    yield from _measured(row.card.agreement)
    ties = row.card.tie_rate
    yield from (ties.own.value, ties.others, row.card.median_pace)
    yield from _measured(row.card.gold)
    yield from _measured(row.card.self_consistency)
    yield ", ".join(row.flagged)
    yield ", ".join(row.undecided)


def _measured(measure: Measure) -> Iterator[Cell]:
    yield measure.value
    yield from measure.interval or (None, None)
    yield measure.prompts
