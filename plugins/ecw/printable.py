"""Escape the control characters in text of records before terminals and pages show it.

A name can hold an escape sequence that clears a screen, or a mark that reverses the direction of a line; they become
`\\u001b` and `\\u202e`, as in JSON. https://unicode.org/reports/tr36/
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO, TextIOBase
from typing import Any, TextIO

# C0 and C1 controls, direction marks and overrides, line separators, lone surrogates.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str, *, keep: str = "") -> str:
    """Return a text with its control characters escaped, except those in `keep`."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def as_table(rows: Sequence[Sequence[str]], *, numbers: Collection[int] = ()) -> str:
    """Return the rows, the first one a header, as lines of aligned columns; the columns at `numbers` are right-aligned.

    A line is never wrapped here, so that `grep` finds a record on one line; the terminal wraps it.
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
    """Return the width of a cell in a terminal: most Chinese and Korean characters take two columns."""
    from rich.cells import cell_len

    return cell_len(printable(cell))


def on_pages(value: Any) -> Any:
    """Return a value for a template: texts are escaped, except line breaks and tabs; other values are unchanged."""
    if isinstance(value, str) and _CONTROL.search(value):
        return type(value)(printable(value, keep="\n\t"))
    return value


@contextmanager
def escaped_output() -> Iterator[None]:
    """Escape the control characters in everything that is printed to standard output inside the `with`."""
    before = sys.stdout
    sys.stdout = _Escaping(before)
    try:
        yield
    finally:
        sys.stdout = before


class _Escaping(TextIOBase):
    """A stream that escapes control characters before it writes to another stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    # click bypasses a stream without an encoding, and writes to its buffer.
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
