"""Crosswalks: tables of code <-> CRM value, in include/mappings/crosswalks/*.csv, and their policies.

A CSV has the columns `code,value,system,note`, and optionally `display`: eCW's text for the code.
A line matches a code only in its system; a line without a system matches it in any. Several codes may have one CRM
value: a push writes the code of the first line.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ecw.did_you_mean import did_you_mean
from ecw.mapping.code_systems import canonical
from ecw.mapping.definition.mapping_file import PolicyEntry
from ecw.mapping.definition.yaml_file import YamlFile, as_text

POLICIES = "policies.yaml"
HEADER = ["code", "value", "system", "note"]
WITH_DISPLAY = [*HEADER, "display"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection


@dataclass(frozen=True)
class Crosswalk:
    """One table, with its policy for codes that it does not have."""

    name: str
    lines: tuple[tuple[str, str, str, str], ...]  # code, value, system, note
    unmapped: str = "reject"
    default: str | None = None
    ecw_list: str | None = None
    crm_list: str | None = None
    displays: tuple[tuple[str, str], ...] = ()  # (eCW's text for a code, the CRM's value)
    path: Path | None = field(default=None, compare=False)

    @cached_property
    def values(self) -> dict[str, str]:
        """The CRM's value for each plain code; its element always has the same system."""
        return {code: value for code, value, _, _ in self.lines}

    @cached_property
    def exact(self) -> dict[tuple[Any, Any], str]:
        """The CRM's value for each (system, code) as the table spells them, and for (None, code) if it is unique."""
        found: dict[tuple[Any, Any], str] = {(system, code): value for code, value, system, _ in self.lines}
        by_code: dict[str, set[str]] = {}
        for code, value, _, _ in self.lines:
            by_code.setdefault(code, set()).add(value)
        return found | {(None, code): values.pop() for code, values in by_code.items() if len(values) == 1}

    @cached_property
    def _canonical(self) -> dict[tuple[str, str], str]:
        return {(canonical(system), code): value for code, value, system, _ in reversed(self.lines)}

    @cached_property
    def words(self) -> dict[str, str]:
        """The CRM's value for each folded text: eCW's texts for the codes, and the values themselves."""
        texts = {folded(display): value for display, value in reversed(self.displays)}
        return texts | {folded(value): value for _, value, _, _ in self.lines}

    def value_of(self, coding: dict[str, Any]) -> str | None:
        """Return the CRM's value for a coding, or None; an equal code of another system does not match."""
        system, code = coding.get("system"), coding.get("code")
        found = self.exact.get((system, code))
        if found is None and type(system) is str and type(code) is str:
            found = self._canonical.get((canonical(system), code)) or self._canonical.get(("", code))
        return found

    def value_of_word(self, text: Any) -> str | None:
        """Return the CRM's value for a text, or None."""
        return self.words.get(folded(text)) if type(text) is str else None

    @cached_property
    def codes(self) -> dict[str, tuple[str, str]]:
        """The (code, system) for each CRM value: of several, the first line's."""
        return {value: (code, system) for code, value, system, _ in reversed(self.lines)}


def folded(text: str) -> str:
    """Return a text in folded case, with single spaces."""
    return " ".join(text.casefold().split())


def load_crosswalks(
    folder: Path, names: set[str], policies_in: Path | None = None
) -> tuple[dict[str, Crosswalk], list[str]]:
    """Return the named crosswalks of a folder, and every problem found, with file and line.

    `policies_in` is the folder of policies.yaml, if it is another one.
    """
    if not names:
        return {}, []
    file = (policies_in or folder) / POLICIES
    if not file.is_file():
        return {name: Crosswalk(name, ()) for name in names}, [f"{file}:1:1: is missing"]
    policies, problems = _policies(file)
    found = {}
    for name in sorted(names):
        path = folder / f"{name}.csv"
        lines, displays, wrong = _lines(path)
        problems += wrong
        policy = policies.get(name)
        found[name] = Crosswalk(name, lines, **(policy.model_dump() if policy else {}), displays=displays, path=path)
        if name not in policies:
            problems.append(f"{file}:1:1: has no policy for {name!r}; {did_you_mean(name, policies)}")
    return found, problems


def available(folder: Path) -> list[str]:
    """Return the names of all crosswalks in the folder."""
    return sorted(path.stem for path in folder.glob("*.csv"))


def _policies(path: Path) -> tuple[dict[str, PolicyEntry | None], list[str]]:
    file = YamlFile(path, as_text)
    if file.root is not None and not isinstance(file.content, dict):
        file.wrong((), "the file must be a list of `crosswalk: policy` lines")
    names = file.content if isinstance(file.content, dict) else ()
    return {name: file.read(PolicyEntry, (name,)) for name in names}, file.problems


_Displays = tuple[tuple[str, str], ...]


def _lines(path: Path) -> tuple[tuple[tuple[str, str, str, str], ...], _Displays, list[str]]:
    problems: list[str] = []
    lines: dict[tuple[str, str], tuple[str, str, str, str]] = {}
    displays: list[tuple[str, str]] = []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return (), (), [f"{path}:{line}:1: is not UTF-8: save the table as CSV UTF-8"]
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, [])
    if header not in (HEADER, WITH_DISPLAY):
        return (), (), [f"{path}:1:1: the first line must be {','.join(HEADER)}, optionally with ,display at its end"]
    for row in rows:
        if not any(row):
            continue
        code, value, system, note, display = (as_read(cell).strip() for cell in [*row, "", "", "", "", ""][:5])
        if len(row) > len(header) or not code or not value:
            problems.append(f"{path}:{rows.line_num}:1: a line must have a code, a CRM value, a system and a note")
        elif (code, canonical(system)) in lines:
            problems.append(f"{path}:{rows.line_num}:1: the code {code!r} is listed twice")
        else:
            lines[code, canonical(system)] = (code, value, system, note)
            displays += [(display, value)] if display else []
    return tuple(lines.values()), tuple(displays), problems


def for_spreadsheets(cell: str) -> str:
    """Return the cell with an apostrophe before it if a spreadsheet would read it as a formula."""
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def as_read(cell: str) -> str:
    """Return a cell as it was before `for_spreadsheets`."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell
