"""Text of records for terminals and pages: control characters are shown and not obeyed.

A name can hold an escape sequence that clears a screen, or a mark that turns the direction of a line; both come out as
`\\u001b`, `\\u202e`, as in JSON. https://unicode.org/reports/tr36/
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO, TextIOBase
from typing import Any, TextIO

# C0 and C1 controls, direction marks and overrides, separators of lines, halves of characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str, *, keep: str = "") -> str:
    """Return a text with its control characters as escapes, but for those to `keep`."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def as_table(rows: Sequence[Sequence[str]], *, numbers: Collection[int] = ()) -> str:
    """Return the rows, the first one a header, as lines of aligned columns; those at `numbers` to the right.

    Lines are as long as their cells need: a terminal wraps them, and `grep` finds a record on one line.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for at, name in enumerate(rows[0]):
        table.add_column(Text(printable(name)), justify="right" if at in numbers else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(file=StringIO(), width=sum(max(map(_width, column)) + 2 for column in zip(*rows, strict=True)))
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _width(cell: str) -> int:
    """Return how many places of a terminal a cell takes: most Chinese and Korean characters take two."""
    from rich.cells import cell_len

    return cell_len(printable(cell))


def on_pages(value: Any) -> Any:
    """Return what a template shows: texts as `printable` has them, with their lines; anything else as it is."""
    if isinstance(value, str) and _CONTROL.search(value):
        return type(value)(printable(value, keep="\n\t"))
    return value


@contextmanager
def escaped_output() -> Iterator[None]:
    """Let nothing that is printed to standard output reach a terminal with control characters in it."""
    before = sys.stdout
    sys.stdout = _Escaping(before)
    try:
        yield
    finally:
        sys.stdout = before


class _Escaping(TextIOBase):
    """Writes to another stream what is printable."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    # click writes past a stream that does not tell its encoding, to the buffer below it.
    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def write(self, text: str) -> int:
        return self._stream.write(printable(text, keep="\n\t\r"))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"
