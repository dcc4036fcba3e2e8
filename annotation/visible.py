"""Whether a reader sees anything of a text: one rule for the import and the pages."""

import unicodedata


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: blanks and invisible characters only."""
    return all(
        character.isspace() or unicodedata.category(character) in ("Cf", "Cc")
        for character in text
    )
