"""Tables whose columns line up, on a terminal with wide characters too."""

import unicodedata
from collections.abc import Collection, Sequence


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()
) -> list[str]:
    """Return the lines of a table, the header first.

    Args:
        header: The name of each column.
        rows: A cell for each column; an empty one becomes a dash, but in the last column.
        right: The columns that are lined up at their right ends, such as numbers.
    """
    filled = [[cell or "-" for cell in row[:-1]] + [row[-1]] for row in rows]
    cells = [list(header), *filled]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            _padded(cell, widths[index], to_the_right=header[index] in right)
            for index, cell in enumerate(row)
        ).rstrip()
        for row in cells
    ]


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _padded(cell: str, wished: int, *, to_the_right: bool) -> str:
    padding = " " * (wished - width(cell))
    return padding + cell if to_the_right else cell + padding
