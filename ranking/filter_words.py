"""Filters as people and programs write them: on a command line, in a query string or a
form, in the description of a dataset.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.core.management.base import CommandParser
from django.http import QueryDict

from annotation.models import FEWEST_ARCHIVED, MOST_RESPONSES, Membership, Project
from ranking.filters import Filters, InvalidFilter
from ranking.models import RankingStatus

POOLS: Final = ("random", "targeted", "all")
INCLUDABLE: Final = (RankingStatus.LATE.value, RankingStatus.SURPLUS.value)
LONGEST_WORD: Final = 200
# Every name is an option of the commands and a parameter of the query strings.
WORDS: Final = {
    "since": "rankings submitted at or after this moment (ISO 8601, UTC)",
    "until": "rankings submitted before this moment (ISO 8601, UTC)",
    "labeler": "only this labeler, by name or pseudonym; may be repeated",
    "without_labeler": "not this labeler, by name or pseudonym; may be repeated",
    "k": "only prompts with this many responses; may be repeated",
    "tag": "only prompts with this tag; several: with any of them",
    "instructions_version": "only rankings made under this version of the"
    " instructions; may be repeated",
    "pool": "random (the sample that measures agreement), targeted, or all",
    "include": "late, surplus, or late,surplus: rankings that do not count otherwise",
}


def add_filter_arguments(parser: CommandParser, *, pool: str = "all") -> None:
    """The filters as options of a command; `pool` is its default pool."""
    group = parser.add_argument_group("filters")
    for name, meaning in WORDS.items():
        default = f" (default: {pool})" if name == "pool" else ""
        group.add_argument(
            f"--{name.replace('_', '-')}",
            action="append",
            metavar=name.rsplit("_", 1)[-1].upper(),
            help=meaning + default,
        )


def filters_from_options(
    project: Project, options: Mapping[str, Any], *, pool: str = "all"
) -> Filters:
    """The filters of a command line, where labelers may go by name too.

    Raises InvalidFilter.
    """
    chosen = {name: options.get(name) or [] for name in WORDS}
    return _read(project, chosen, pool=pool, by_name=True)


def filters_from_query(
    project: Project, query: QueryDict, *, pool: str = "all", by_name: bool = False
) -> Filters:
    """The filters of a query string or form; other parameters are not looked at.

    `by_name` lets labelers go by name as well as by pseudonym: only for readers who
    may know who is who. Raises InvalidFilter.
    """
    chosen = {name: [v for v in query.getlist(name) if v] for name in WORDS}
    return _read(project, chosen, pool=pool, by_name=by_name)


def filters_from_json(project: Project, described: Mapping[str, Any]) -> Filters:
    """What `Filters.as_json` described. Raises InvalidFilter."""
    chosen = {name: _words(described.get(name)) for name in WORDS}
    return _read(project, chosen, pool="all", by_name=False)


def _words(described: Any) -> list[str]:
    if described is None:
        return []
    return (
        [str(one) for one in described] if isinstance(described, list) else [described]
    )


def _read(
    project: Project, chosen: Mapping[str, Sequence[str]], *, pool: str, by_name: bool
) -> Filters:
    for name, words in chosen.items():
        _check_words(name, words)
    filters = Filters(
        since=_moment("since", chosen["since"]),
        until=_moment("until", chosen["until"]),
        labelers=labelers_called(project, chosen["labeler"], by_name=by_name),
        without_labelers=labelers_called(
            project, chosen["without_labeler"], by_name=by_name
        ),
        k=_numbers("k", chosen["k"]),
        tags=frozenset(chosen["tag"]),
        instructions_versions=_numbers(
            "instructions_version", chosen["instructions_version"]
        ),
        pool=_one_of("pool", chosen["pool"] or [pool], POOLS),
        include=_included(chosen["include"]),
    )
    if filters.since and filters.until and filters.since >= filters.until:
        raise InvalidFilter(
            f"since {filters.since.isoformat()} is not before until"
            f" {filters.until.isoformat()}: no ranking can match"
        )
    _check_sizes(filters.k)
    return filters


def _check_words(name: str, words: Sequence[str]) -> None:
    """No word that Postgres refuses as a parameter, and none without end."""
    for word in words:
        if "\0" in word or len(word) > LONGEST_WORD or not word.isprintable():
            raise InvalidFilter(
                f"{name}: {word[:50]!r} is not a printable word of at most"
                f" {LONGEST_WORD} characters"
            )


def _single(name: str, words: Sequence[str]) -> str:
    if len(words) > 1:
        raise InvalidFilter(f"{name} is given {len(words)} times; it takes one value")
    return words[0] if words else ""


def _moment(name: str, words: Sequence[str]) -> datetime | None:
    """ISO 8601; without an offset it is UTC."""
    word = _single(name, words)
    if not word:
        return None
    try:
        moment = datetime.fromisoformat(word)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidFilter(
            f"{name}: {word!r} is not a date or time like 2026-11-21 or"
            " 2026-11-21T09:00:00Z"
        ) from error


def _numbers(name: str, words: Sequence[str]) -> frozenset[int]:
    for word in words:
        if not re.fullmatch("[1-9][0-9]{0,8}", word):
            raise InvalidFilter(f"{name}: {word!r} is not a whole number above 0")
    return frozenset(map(int, words))


def _check_sizes(sizes: frozenset[int]) -> None:
    for k in sorted(sizes):
        if not FEWEST_ARCHIVED <= k <= MOST_RESPONSES:
            raise InvalidFilter(
                f"k: {k} is not between {FEWEST_ARCHIVED} and {MOST_RESPONSES}"
            )


def _one_of(name: str, words: Sequence[str], known: Sequence[str]) -> str:
    word = _single(name, words)
    if word not in known:
        raise InvalidFilter(f"{name}: {word!r} is none of {', '.join(known)}")
    return word


def _included(words: Sequence[str]) -> frozenset[str]:
    named = [part.strip() for word in words for part in word.split(",")]
    return frozenset(_one_of("include", [part], INCLUDABLE) for part in named)


def labelers_called(
    project: Project, words: Sequence[str], *, by_name: bool
) -> frozenset[int]:
    """Ids of the memberships of these names or pseudonyms. One query, if any.

    A member and an imported labeler may share a name: both are meant. Raises
    InvalidFilter for a word that is nobody's.
    """
    if not words:
        return frozenset()
    known: dict[str, set[int]] = {}
    members = Membership.objects.filter(project=project)
    for pk, name in members.values_list("pk", "name"):
        known.setdefault(project.pseudonym(pk), set()).add(pk)
        if by_name:
            known.setdefault(name, set()).add(pk)
    for word in words:
        if word not in known:
            raise InvalidFilter(f"no labeler {word!r} in the project {project.slug}")
    return frozenset().union(*(known[word] for word in words))
