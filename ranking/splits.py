"""Which prompts are learned from and which are kept aside. PURE.

The split belongs to the text of a prompt, not to a dataset or a project: a model and
its successor can be compared on the same unseen prompts, and a prompt that lies in
two projects is never learned from in one and tested with in the other.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

KEY: Final = b"rankwell prompt splits"  # a new key would move prompts between splits
TRAIN_ENDS, VALID1_ENDS = 0.8, 0.9


def group_of(messages: Iterable[Mapping[str, str]]) -> str:
    """The name of a text: the same for texts that differ in case and blanks alone.

    It names a group of near-duplicates of which this is the first, by this name. 64 hex
    digits. `"Hello  World"` and `"hello world\\n"` are one group.
    """
    turns = [
        f"{message['role']}\n{normalised(message['content'])}" for message in messages
    ]
    return hashlib.sha256("\n\n".join(turns).encode("utf-8")).hexdigest()


def split_of(group: str) -> str:
    """train, valid1 or valid2 for 80, 10 and 10 % of groups, by a keyed hash."""
    digest = hashlib.blake2b(group.encode(), key=KEY, digest_size=6).digest()
    place = int.from_bytes(digest) / 2**48  # uniform in [0, 1)
    if place < TRAIN_ENDS:
        return "train"
    return "valid1" if place < VALID1_ENDS else "valid2"


def normalised(text: str) -> str:
    """Without what makes no new prompt: case, blanks, compatible characters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
