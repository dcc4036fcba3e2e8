"""What a dashboard was asked for, and the sums that answer it.

Every number is summed from the prompts' summary rows; no page reads the rankings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.http import HttpResponse
from django.shortcuts import render

from annotation.access import Member
from annotation.models import Membership, Role
from ranking.dashboards import distinct_names
from ranking.filter_words import filters_from_query
from ranking.filters import Filters, InvalidFilter
from ranking.pictures import Source
from ranking.rank_table import IntArray
from ranking.summaries import tallies_of
from ranking.tallies import Tallies

READERS: Final = (Role.RESEARCHER, Role.ADMIN)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A page's member, what they asked for, and the sums that answer it."""

    member: Member
    filters: Filters
    tallies: Tallies

    @property
    def context(self) -> dict[str, Any]:
        """What every dashboard shows."""
        return {
            "member": self.member,
            "query": self.member.request.GET,
            "asked": self.member.request.GET.urlencode(),
            "rankings": len(self.tallies.judged),
        }


Page = Callable[[Asked], HttpResponse]


def answered(member: Member, page: Page) -> HttpResponse:
    """The page over the rankings that were asked for; 400 for an unknown filter."""
    query = member.request.GET
    by_name = member.role == Role.ADMIN
    try:
        filters = filters_from_query(
            member.project, query, pool="random", by_name=by_name
        )
    except InvalidFilter as error:
        context = {"member": member, "query": query, "invalid": str(error)}
        return render(member.request, "ranking/dashboard.html", context, status=400)
    tallies = tallies_of(member.project, filters)
    return page(Asked(member=member, filters=filters, tallies=tallies))


def source_of(
    asked: Asked, *, names: Mapping[int, str], tags: Mapping[str, IntArray]
) -> Source:
    """What its pictures are drawn from; names and tags where they need them."""
    return Source(tallies=asked.tallies, names=names, tags=tags)


def names_of(asked: Asked) -> dict[int, str]:
    """What the reader may call everybody whose rankings are looked at: admins read
    names, others pseudonyms. One query."""
    labelers = np.unique(asked.tallies.judged.labeler).tolist()
    found = Membership.objects.select_related("project").in_bulk(labelers)
    if asked.member.role == Role.ADMIN:
        return distinct_names(found.values(), lambda labeler: labeler.name)
    return distinct_names(
        found.values(), lambda labeler: labeler.project.pseudonym(labeler.pk)
    )
