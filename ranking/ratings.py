"""What a labeler says of single responses, beside their order: ratings and flags.

A rating goes from 1 to 7, and 7 is best, as in InstructGPT's labeling interface (arXiv
2203.02155, appendix B); a rank is the other way round, 1 is best.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

LOWEST_RATING, HIGHEST_RATING = 1, 7
LONGEST_NOTE = 4_000  # characters


class WrongAnswerError(ValueError):
    """Something beside the ranks that cannot be stored; the message is for people.

    `missing` holds the letters that lack a rating, `unknown` what is no letter of the
    page.
    """

    def __init__(
        self, message: str, *, missing: Sequence[str] = (), unknown: Sequence[str] = ()
    ) -> None:
        self.missing = list(missing)
        self.unknown = list(unknown)
        super().__init__(message)


def check_ratings(
    ratings: Mapping[str, int], letters: Collection[str], *, required: bool
) -> None:
    """Raise WrongAnswerError unless each rating is 1 to 7 and of a letter of the page,
    and, where they are required, every letter has one."""
    check_letters(ratings, letters)
    for letter, rating in ratings.items():
        if not LOWEST_RATING <= rating <= HIGHEST_RATING:
            raise WrongAnswerError(
                f"The rating of response {letter} is {rating}; it must be"
                f" {LOWEST_RATING} to {HIGHEST_RATING}."
            )
    missing = sorted(set(letters) - ratings.keys())
    if required and missing:
        raise WrongAnswerError(
            f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not rated.",
            missing=missing,
        )


def check_flags(
    flags: Mapping[str, Collection[str]],
    letters: Collection[str],
    offered: Collection[str],
) -> None:
    """Raise WrongAnswerError unless each flag is one that the project offers."""
    check_letters(flags, letters)
    for letter, names in flags.items():
        for name in names:
            if name not in offered:
                raise WrongAnswerError(
                    f"Response {letter} has the flag {name!r}, which this project does"
                    " not offer, or not any more. Take it off."
                )


def check_note(note: str) -> None:
    """Raise WrongAnswerError for a note over 4,000 characters."""
    if len(note) > LONGEST_NOTE:
        raise WrongAnswerError(
            f"The note has {len(note)} characters; the most is {LONGEST_NOTE}."
        )


def check_letters(said: Collection[str], letters: Collection[str]) -> None:
    """Raise WrongAnswerError for what is no letter of the page."""
    unknown = sorted(set(said) - set(letters))
    if unknown:
        raise WrongAnswerError(
            f"This page has no response {', '.join(unknown)}.", unknown=unknown
        )


def contradictions(ratings: Mapping[str, int], ranks: Mapping[str, int]) -> int | None:
    """How many pairs of responses the ratings order strictly one way and the ranks
    strictly the other.

    A tie on either side contradicts nothing. Only responses that have both count; None
    if there is no rating at all. With ratings A 7, B 5, C 5 and ranks B 1, A 2, C 3 it
    is 1: A is rated above B and ranked below.
    """
    if not ratings:
        return None
    both = [letter for letter in ranks if letter in ratings]
    return sum(
        (ratings[one] - ratings[other]) * (ranks[one] - ranks[other]) > 0
        for one, other in combinations(both, 2)
    )


def listed(names: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
