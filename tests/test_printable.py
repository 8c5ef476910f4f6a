"""Control characters of records are shown as escapes, on terminals and on pages."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from rich.cells import cell_len

from ecw.cli import group
from ecw.printable import as_table, on_pages, printable
from tests.fixtures.examples import examples

CASES = [
    ("\x1b[2J", "\\u001b[2J"),  # clears a terminal
    ("a\nb\tc\x00", "a\\u000ab\\u0009c\\u0000"),
    ("\x9b31m", "\\u009b31m"),  # the same in one character of C1
    ("a\u202eb", "a\\u202eb"),  # reverses the direction of the text behind it
    ("\u2028", "\\u2028"),
    ("\ud800", "\\ud800"),  # half a character: it cannot even be encoded
    ("José 王小明 – “x”", "José 王小明 – “x”"),
]


@pytest.mark.parametrize(("text", "escaped"), CASES)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    assert printable(text) == escaped
    assert printable(escaped) == escaped


def test_a_page_keeps_lines_and_markup() -> None:
    assert on_pages("a\n\x1bb") == "a\n\\u001bb"
    assert isinstance(on_pages(Markup("<b>\x1b</b>")), Markup)
    assert on_pages(7) == 7


def test_a_cell_is_one_line() -> None:
    assert as_table([("A",), ("x\ny\x1b",)]) == "A\nx\\u000ay\\u001b"


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
@settings(max_examples=examples(50))
def test_a_table_holds_every_cell_whole_and_in_its_column(rows: list[tuple[str, str]]) -> None:
    """Also with characters that are two cells wide, or none, and with text that looks like rich's markup."""
    rows = [("[b]first", "second"), *((f"|{one}|", f"|{other}|") for one, other in rows)]
    lines = as_table(rows).split("\n")
    assert len(lines) == len(rows)
    places = {cell_len(line[: line.rindex(printable(second))]) for line, (_, second) in zip(lines, rows, strict=True)}
    assert len(places) == 1
    for line, (first, _) in zip(lines, rows, strict=True):
        assert line.startswith(printable(first))


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_command_prints_no_control_character(arguments: tuple[str, ...]) -> None:
    person = {"resourceType": "Patient", "id": "p", "name": [{"family": "R\x1b[2Joe\u202e", "given": ["A\x9bnn"]}]}
    result = CliRunner().invoke(
        group, ["mapping", "preview", "patient", "--input", "-", *arguments], input=json.dumps(person)
    )
    assert result.exit_code == 0
    assert "\\u001b[2J" in result.output
    assert not set(result.output) & {"\x1b", "\x9b", "\u202e"}
    if arguments:
        assert json.loads(result.output)["resource"] == person
