"""Cells of CSV files that a spreadsheet shows as text, never runs as a formula."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "|")


def neutral(cell: str) -> str:
    """A cell that begins as a formula may begin gets an apostrophe before it.

    `=1+1` becomes `'=1+1`; everything else stays as it is. It is for texts: a number
    below zero would become one too.
    """
    return f"'{cell}" if cell.startswith(FORMULA_SIGNS) else cell
