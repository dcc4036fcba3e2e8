"""What a page asks for besides the order, sealed into it.

A project's flags, and whether it wants ratings, may change while a page is open, or
while a ranking waits on a device that is offline. It is then judged by what its page
asked for, and was right to give.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.core.signing import BadSignature, Signer

from annotation.models import Project

LONGEST_SEAL: Final = 16_000  # characters; twelve flags of sixty take less


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`flags` may be set on a response; with `ratings` each must have one."""

    flags: Collection[str]
    ratings: bool


def seal(project: Project, token: str) -> str:
    """What the project asks for now, for the page of this assignment to send along.

    Signed, for the assignment alone: nobody gets out of rating, or adds flags.
    """
    said = {"flags": project.flags, "ratings": project.rate_first}
    return _signer(token).sign_object(said)


def asked(project: Project, token: str, sealed: str) -> Asked:
    """What is asked of a ranking whose page sent this seal; "" for none.

    Flags of then and of now may be set. Ratings are wanted if they were and still are.
    A seal that is broken, or another page's, says nothing: then it is as it is now.
    """
    now = Asked(flags=project.flags, ratings=project.rate_first)
    if not sealed or len(sealed) > LONGEST_SEAL:
        return now
    try:
        said = _signer(token).unsign_object(sealed)
    except BadSignature:
        return now
    return Asked(
        flags={*said["flags"], *now.flags}, ratings=said["ratings"] and now.ratings
    )


def _signer(token: str) -> Signer:
    return Signer(salt=f"ranking.asked:{token}")
