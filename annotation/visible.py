"""Whether a reader sees anything of a text: one rule for the import and the pages."""

import unicodedata


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: blanks and invisible characters only."""
    if text[:1].isalnum():  # as nearly all texts begin
        return False
    return all(
        character.isspace() or unicodedata.category(character) in ("Cf", "Cc")
        for character in text
    )
