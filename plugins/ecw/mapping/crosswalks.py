"""Crosswalks: tables of code <-> CRM value, in include/mappings/crosswalks/*.csv, and their policies.

A CSV has the columns `code,value,system,note`; `system` is the code's system where a push must write one. Several
codes may mean one CRM value: the first line of a value is the one that a push writes.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ecw.mapping.vocabulary import POLICY_KEYS, UNMAPPED
from ecw.mapping.yaml_lines import Sheet, did_you_mean

POLICIES = "policies.yaml"
HEADER = ["code", "value", "system", "note"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection


@dataclass(frozen=True)
class Crosswalk:
    """One table, with what becomes of a code that it does not have."""

    name: str
    lines: tuple[tuple[str, str, str, str], ...]  # code, value, system, note
    unmapped: str = "reject"
    default: str | None = None
    ecw_list: str | None = None
    crm_list: str | None = None
    path: Path | None = field(default=None, compare=False)

    @cached_property
    def values(self) -> dict[str, str]:
        """The CRM's value for each code."""
        return {code: value for code, value, _, _ in self.lines}

    @cached_property
    def codes(self) -> dict[str, tuple[str, str]]:
        """The code and its system for each CRM value: of several, the one that stands first."""
        return {value: (code, system) for code, value, system, _ in reversed(self.lines)}


def load_crosswalks(folder: Path, names: set[str]) -> tuple[dict[str, Crosswalk], list[str]]:
    """Read those crosswalks of a folder; return them and every problem found, with file and line."""
    if not names:
        return {}, []
    if not (folder / POLICIES).is_file():
        return {name: Crosswalk(name, ()) for name in names}, [f"{folder / POLICIES}:1:1: is missing"]
    policies, problems = _policies(folder / POLICIES)
    found = {}
    for name in sorted(names):
        path = folder / f"{name}.csv"
        lines, wrong = _lines(path)
        problems += wrong
        found[name] = Crosswalk(name, lines, **policies.get(name, {}), path=path)
        if name not in policies:
            problems.append(f"{folder / POLICIES}:1:1: has no policy for {name!r}; {did_you_mean(name, policies)}")
    return found, problems


def available(folder: Path) -> list[str]:
    """Return the names of all crosswalks in the folder."""
    return sorted(path.stem for path in folder.glob("*.csv"))


def _policies(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    sheet = Sheet(path)
    found: dict[str, dict[str, str]] = {}
    for key, node in sheet.entries(sheet.root, "the file of policies") if sheet.root else []:
        words = sheet.keys(node, POLICY_KEYS, "a crosswalk's policy")
        policy = {word: sheet.string(value, word) for word, value in words.items()}
        if "unmapped" in words:
            sheet.word(words["unmapped"], UNMAPPED, "policy")
        else:
            sheet.wrong(key, f"{key.value!r} does not say `unmapped`: one of {', '.join(UNMAPPED)}")
        if (policy.get("unmapped") == "default") != ("default" in policy):
            sheet.wrong(key, f"{key.value!r}: `unmapped: default` and `default:` go together")
        for word in ("ecw_list", "crm_list"):
            if policy.get(word, "a.b").count(".") != 1:
                sheet.wrong(words[word], f"{word} is table.column")
        found[key.value] = policy
    return found, sheet.problems


def _lines(path: Path) -> tuple[tuple[tuple[str, str, str, str], ...], list[str]]:
    problems: list[str] = []
    lines: dict[str, tuple[str, str, str, str]] = {}
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return (), [f"{path}:{line}:1: is not UTF-8: save the table as CSV UTF-8"]
    rows = csv.reader(io.StringIO(text, newline=""))
    if next(rows, []) != HEADER:
        return (), [f"{path}:1:1: the first line is {','.join(HEADER)}"]
    for row in rows:
        if not any(row):
            continue
        code, value, system, note = (as_read(cell).strip() for cell in [*row, "", "", "", ""][:4])
        if len(row) > len(HEADER) or not code or not value:
            problems.append(f"{path}:{rows.line_num}:1: a line has a code, a CRM value, a system and a note")
        elif code in lines:
            problems.append(f"{path}:{rows.line_num}:1: the code {code!r} is there already")
        else:
            lines[code] = (code, value, system, note)
    return tuple(lines.values()), problems


def for_spreadsheets(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe stands before one."""
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def as_read(cell: str) -> str:
    """Return a cell as it was before `for_spreadsheets`."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell
