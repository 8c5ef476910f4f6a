"""Lines of cells as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ecw.printable import printable


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows, the first one a header, with every column as wide as its widest cell."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
