"""What the form that freezes a dataset offers to choose from."""

from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from annotation.access import Member
from annotation.models import MOST_RESPONSES, Instructions, Membership, Role
from ranking.filter_words import INCLUDABLE, POOLS


@dataclass(frozen=True, slots=True)
class Option:
    """A word of a filter, what a reader sees of it, and whether it is chosen."""

    word: str
    shown: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class FreezeForm:
    """The options of each filter that has a few."""

    labelers: list[Option]
    without_labelers: list[Option]
    sizes: list[Option]
    versions: list[Option]
    pools: list[Option]
    included: list[Option]

    @classmethod
    def of(cls, member: Member, chosen: QueryDict) -> Self:
        """Those of the member's project. Two queries.

        Admins read names beside pseudonyms, researchers do not.
        """
        project = member.project
        named = Membership.objects.filter(project=project, role=Role.LABELER)
        people = sorted(
            (project.pseudonym(pk), name)
            for pk, name in named.values_list("pk", "name")
        )
        labelers = {
            pseudonym: f"{name} ({pseudonym})"
            if member.role == Role.ADMIN
            else pseudonym
            for pseudonym, name in people
        }
        sizes = range(project.fewest_responses, MOST_RESPONSES + 1)
        versions = Instructions.objects.filter(project=project).values_list(
            "version", flat=True
        )

        def options(name: str, words: dict[str, str]) -> list[Option]:
            picked = chosen.getlist(name)
            return [Option(word, words[word], word in picked) for word in words]

        return cls(
            labelers=options("labeler", labelers),
            without_labelers=options("without_labeler", labelers),
            sizes=options("k", {str(k): str(k) for k in sizes}),
            versions=options(
                "instructions_version", {str(v): str(v) for v in sorted(versions)}
            ),
            pools=options("pool", {pool: pool for pool in reversed(POOLS)}),
            included=options("include", {word: word for word in INCLUDABLE}),
        )
