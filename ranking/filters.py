"""Which rankings a question is about: the filters that `agreement`, `export_dataset`
and their pages share. What people write is read by `ranking.filter_words`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from annotation.models import Project, Prompt, PromptRejection, Purpose
from ranking.models import PromptSummary, Ranking, RankingQuerySet, RankingStatus

CHECKS: Final = (Purpose.TRAINING, Purpose.QUALIFICATION, Purpose.GOLD)


# Not an outer join: see RankingQuerySet.current.
TAKEN_OUT: Final = Exists(
    PromptRejection.objects.filter(prompt=OuterRef("assignment__prompt"))
)


class InvalidFilter(ValueError):  # noqa: N818  reads as what happened
    """A filter that cannot be understood, or that names nobody of the project."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """A choice of rankings of one project; empty fields leave everything in.

    Labelers are ids of memberships, so that a choice by name and one by pseudonym
    are the same choice.
    """

    since: datetime | None = None
    until: datetime | None = None  # exclusive
    labelers: frozenset[int] = frozenset()
    without_labelers: frozenset[int] = frozenset()
    k: frozenset[int] = frozenset()
    tags: frozenset[str] = frozenset()  # any of them
    instructions_versions: frozenset[int] = frozenset()
    pool: str = "all"
    include: frozenset[str] = frozenset()

    def as_json(self, project: Project) -> dict[str, Any]:
        """What was chosen, the same for the same choice; labelers by pseudonym."""
        named = {
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "labeler": sorted(map(project.pseudonym, self.labelers)),
            "without_labeler": sorted(map(project.pseudonym, self.without_labelers)),
            "k": sorted(self.k),
            "tag": sorted(self.tags),
            "instructions_version": sorted(self.instructions_versions),
            "include": sorted(self.include),
        }
        return {"pool": self.pool} | {
            name: value for name, value in named.items() if value
        }


def rankings_that_count(
    project: Project,
    filters: Filters,
    *,
    with_repeats: bool = False,
    even_of: int | None = None,
) -> RankingQuerySet:
    """The project's rankings that count and match the filters.

    That is: current, counted (or included by name), on prompts of the purpose work
    that nobody took out, repeat 0, of labelers whose work is not withdrawn (`even_of`
    one who is, by membership). Repeats count in nothing but a labeler's agreement with
    themselves, so only the agreement report asks for them. Imported rankings belong to
    the random pool.
    """
    status = {RankingStatus.COUNTED.value} | filters.include
    rows = (
        Ranking.objects.current()
        .not_withdrawn(but=even_of)
        .filter(
            project=project,
            status__in=sorted(status),
            assignment__prompt__purpose=Purpose.WORK,
        )
        .filter(~TAKEN_OUT)
    )
    if not with_repeats:
        rows = rows.filter(assignment__repeat=0)
    # Every ranked work prompt has a summary row, which knows its size: responses of the
    # whole site would be counted else.
    ranked = PromptSummary.objects.filter(project=project)
    return rows.filter(_about_the_ranking(filters) & _about_the_prompt(filters, ranked))


def gold_rankings(
    project: Project, filters: Filters, *, even_of: int | None = None
) -> RankingQuerySet:
    """The rankings that match the filters and count in nothing but `gold`.

    The first, counted ones of prompts that teach or test: training, qualification and
    gold prompts that nobody took out, withdrawn labelers left out as above. Not their
    corrections: after a training prompt its labeler has seen the right order, and the
    three must mean the same.
    """
    rows = (
        Ranking.objects.not_withdrawn(but=even_of)
        .filter(
            project=project,
            revises__isnull=True,
            status=RankingStatus.COUNTED,
            assignment__repeat=0,
            assignment__prompt__purpose__in=CHECKS,
            assignment__prompt__gold__isnull=False,
        )
        .filter(~TAKEN_OUT)
    )
    checks = Prompt.objects.filter(project=project, purpose__in=CHECKS)
    sized = checks.annotate(k=Count("responses"))
    return rows.filter(_about_the_ranking(filters) & _about_the_prompt(filters, sized))


def _about_the_ranking(filters: Filters) -> Q:
    wanted = Q()
    if filters.since:
        wanted &= Q(submitted_at__gte=filters.since)
    if filters.until:
        wanted &= Q(submitted_at__lt=filters.until)
    if filters.labelers:
        wanted &= Q(assignment__labeler__in=sorted(filters.labelers))
    if filters.without_labelers:
        wanted &= ~Q(assignment__labeler__in=sorted(filters.without_labelers))
    if filters.instructions_versions:
        wanted &= Q(instructions__version__in=sorted(filters.instructions_versions))
    if filters.pool != "all":
        wanted &= Q(assignment__pool=filters.pool)
    return wanted


def _about_the_prompt(filters: Filters, sized: QuerySet[Any]) -> Q:
    """`sized`: rows whose keys are prompts, and their `k`."""
    wanted = Q()
    if filters.tags:
        wanted &= Q(assignment__prompt__tags__overlap=sorted(filters.tags))
    if filters.k:
        of_that_size = sized.filter(k__in=sorted(filters.k)).values("pk")
        wanted &= Q(assignment__prompt__in=of_that_size)
    return wanted
