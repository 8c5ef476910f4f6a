"""A quality suite: which rows may enter, as include/quality/*.yaml says; that folder's README explains the words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from ecw import project_files
from ecw.errors import MappingError
from ecw.mapping.definition.files import mappings_folder
from ecw.mapping.definition.yaml_positions import Sheet

WARN, REJECT, STOP = "warn", "reject", "stop"
FILE_KEYS = dict.fromkeys(("resource", "small_batch", "volume", "rules"))
RULE_KEYS = dict.fromkeys(("column", "otherwise", "stop_above", "why"))
VOLUME_KEYS = dict.fromkeys(("at_least", "otherwise", "why"))
OUTCOMES = MappingProxyType(
    {
        WARN: "count it in the log",
        REJECT: "the row may not enter",
        STOP: "nothing of this batch enters",
    }
)
DAYS = MappingProxyType({"today": 0, "tomorrow": 1})


@dataclass(frozen=True, slots=True)
class Rule:
    """One check of one column, and what happens to a row that breaks it."""

    columns: tuple[str, ...]  # the first one with a value is looked at
    check: str
    value: Any
    otherwise: str
    stop_above: float | None  # share of the rows
    why: str
    line: int

    @property
    def column(self) -> str:
        """The column that the rule is reported under."""
        return self.columns[0]

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The columns whose values decide whether a row breaks the rule."""
        return (*self.columns, self.value) if self.check == "not_before" else self.columns

    def __str__(self) -> str:
        return f"{self.check} of {' or '.join(self.columns)}"


@dataclass(frozen=True, slots=True)
class Volume:
    """How many records must come again, as a share of what runs that see everything usually fetch."""

    at_least: float
    otherwise: str
    why: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The rules of one resource, in the file's order."""

    resource: str
    path: Path
    small_batch: int
    volume: Volume | None
    rules: tuple[Rule, ...]
    chosen: bool = False  # the records were chosen, one by one, so that a share of them says nothing

    def stops(self, rule: Rule, new: int, rows: int) -> bool:
        """Return True if so many new rows that break the rule let nothing of the batch in."""
        if rule.stop_above is None or self.chosen:
            return False
        judged = rule.otherwise == STOP or rows >= self.small_batch
        return judged and new > rule.stop_above * rows

    def refuses(self, rule: Rule) -> bool:
        """Return True if a row that breaks the rule may not enter.

        Where nothing is stopped, a single row that would stop everything is refused.
        """
        return rule.otherwise == REJECT or (self.chosen and rule.otherwise == STOP)


def suite_path(resource: str) -> Path:
    """Return the file of a resource's suite: in the folder `quality` beside the one of the mappings."""
    found = project_files.file_of("quality", f"{resource}.yaml")
    return found or mappings_folder().parent / "quality" / f"{resource}.yaml"


def of_chosen(suite: Suite) -> Suite:
    """Return the suite for records that were chosen one by one: rejected ones again, or those that a form names.

    The share of those that break a rule says nothing there, and one bad record does not hold the others up.
    """
    return replace(suite, chosen=True)


def whole_value(pattern: str) -> str:
    """Return the regular expression that a value matches from its first character to its last."""
    return rf"^(?:{pattern})\Z"


def load_suite(path: Path, columns: Iterable[str], today: date | None = None) -> Suite:
    """Read a suite and check it against the columns of the resource's mapping.

    Raises MappingError with file, line and column of every mistake.
    """
    sheet = Sheet(path)
    if sheet.root is None:
        raise _wrong(sheet, "the file is empty")
    suite = _Reader(sheet, columns, today or datetime.now(UTC).date()).suite(sheet.root)
    if sheet.problems:
        raise _wrong(sheet)
    return suite


def _wrong(sheet: Sheet, *more: str) -> MappingError:
    told = "\n".join([*sheet.problems, *(f"{sheet.path}:1:1: {problem}" for problem in more if not sheet.problems)])
    return MappingError(f"{sheet.path.name} has mistakes:\n{told}\n", next_move="fix the lines named above.")


class _Reader:
    def __init__(self, sheet: Sheet, columns: Iterable[str], today: date) -> None:
        self.sheet = sheet
        self.columns = dict.fromkeys(columns)
        self.today = today
        self.checks: dict[str, Callable[[yaml.Node], Any]] = {
            "not_null": self._true,
            "unique": self._true,
            "in": self._values,
            "pattern": self._pattern,
            "length": lambda node: self._bounds(node, ("min", "max"), self._whole),
            "range": lambda node: self._bounds(node, ("min", "max"), self._number),
            "date": lambda node: self._bounds(node, ("after", "before"), self._day),
            "not_before": lambda node: sheet.word(node, self.columns, "column of the mapping"),
            "known": self._true,
        }

    def suite(self, root: yaml.Node) -> Suite:
        found = self.sheet.keys(root, FILE_KEYS, "a quality suite")
        resource = self.sheet.path.stem
        if "resource" in found:
            self.sheet.word(found["resource"], {resource: None}, "resource of this file")
        else:
            self.sheet.wrong(root, "the key 'resource' is missing")
        items = self.sheet.items(found["rules"], "rules") if "rules" in found else []
        rules = [rule for item in items if (rule := self._rule(item)) is not None]
        told: set[tuple[str, str]] = set()
        for rule in rules:
            if (rule.column, rule.check) in told:
                self.sheet.add(rule.line, 1, f"the rule {rule} is said twice")
            told.add((rule.column, rule.check))
        return Suite(
            resource=resource,
            path=self.sheet.path,
            small_batch=self._whole(found["small_batch"]) if "small_batch" in found else 0,
            volume=self._volume(found["volume"]) if "volume" in found else None,
            rules=tuple(rules),
        )

    def _rule(self, node: yaml.Node) -> Rule | None:
        found = self.sheet.keys(node, {**RULE_KEYS, **self.checks}, "a rule")
        checks = [name for name in found if name in self.checks]
        if len(checks) != 1:
            self.sheet.wrong(node, f"a rule has one check ({', '.join(self.checks)}); this one has {len(checks)}")
            return None
        for key in ("column", "otherwise"):
            if key not in found:
                self.sheet.wrong(node, f"the key {key!r} is missing")
        otherwise = self._outcome(found.get("otherwise"))
        columns = self.sheet.strings(found["column"], "column") if "column" in found else []
        for place, _ in columns:
            self.sheet.word(place, self.columns, "column of the mapping")
        share = self._share(found["stop_above"]) if "stop_above" in found else None
        return Rule(
            columns=tuple(name for _, name in columns) or ("",),
            check=checks[0],
            value=self.checks[checks[0]](found[checks[0]]),
            otherwise=otherwise,
            stop_above=0.0 if share is None and otherwise == STOP else share,
            why=self.sheet.string(found["why"], "why") if "why" in found else "",
            line=node.start_mark.line + 1,
        )

    def _volume(self, node: yaml.Node) -> Volume:
        found = self.sheet.keys(node, VOLUME_KEYS, "volume")
        for key in ("at_least", "otherwise"):
            if key not in found:
                self.sheet.wrong(node, f"the key {key!r} is missing")
        otherwise = self._outcome(found.get("otherwise"))
        if otherwise == REJECT:
            self.sheet.wrong(found["otherwise"], "'reject' is about single rows; use 'warn' or 'stop'")
        return Volume(
            at_least=self._share(found["at_least"]) if "at_least" in found else 0.0,
            otherwise=otherwise,
            why=self.sheet.string(found["why"], "why") if "why" in found else "",
        )

    def _outcome(self, node: yaml.Node | None) -> str:
        return self.sheet.word(node, OUTCOMES, "outcome") if node is not None else ""

    def _true(self, node: yaml.Node) -> bool:
        if not self.sheet.boolean(node, "this check"):
            self.sheet.wrong(node, "this check is `true`, or left out")
        return True

    def _values(self, node: yaml.Node) -> list[str]:
        """Return the allowed values as texts; `true` and `false` are those of a Boolean."""
        found = self.sheet.strings(node, "the list of allowed values")
        if not found:
            self.sheet.wrong(node, "allows no value at all")
        boolean = "tag:yaml.org,2002:bool"
        return [str(self.sheet.boolean(item, text)).lower() if item.tag == boolean else text for item, text in found]

    def _pattern(self, node: yaml.Node) -> str:
        text = self.sheet.string(node, "pattern")
        for tried in (text, whole_value(text)):  # a flag for everything is right in the first alone
            try:
                re.compile(tried)
            except re.error as error:
                place = (error.pos or 0) - tried.index(text)
                self.sheet.wrong(node, f"is no regular expression for a whole value: {error.msg}", place)
                break
        return text

    def _bounds(self, node: yaml.Node, words: tuple[str, str], bound: Callable[[yaml.Node], Any]) -> dict[str, Any]:
        found = {word: bound(value) for word, value in self.sheet.keys(node, dict.fromkeys(words), "a bound").items()}
        if not found:
            self.sheet.wrong(node, f"needs {words[0]} or {words[1]}")
        elif len(found) == 2 and self._nothing_between(found):
            self.sheet.wrong(node, f"no value is between {words[0]} and {words[1]}")
        return found

    def _nothing_between(self, found: dict[str, Any]) -> bool:
        if "min" in found:
            return bool(found["min"] > found["max"])
        try:
            after, before = (date.fromisoformat(found[word]) for word in ("after", "before"))
        except ValueError:  # it is told already that it is not a day
            return False
        return before - after <= timedelta(days=1)  # both are exclusive

    def _share(self, node: yaml.Node) -> float:
        number = self._number(node)
        if not 0 <= number <= 1:
            self.sheet.wrong(node, "a share is a number from 0 to 1")
        return number

    def _whole(self, node: yaml.Node) -> int:
        number = self._number(node)
        if number < 0 or number != int(number):
            self.sheet.wrong(node, "is not a whole number from 0 on")
        return int(number)

    def _number(self, node: yaml.Node) -> float:
        try:
            return float(self.sheet.string(node, "a number"))
        except ValueError:
            self.sheet.wrong(node, "is not a number")
            return 0.0

    def _day(self, node: yaml.Node) -> str:
        text = self.sheet.string(node, "a day")
        if text in DAYS:
            return (self.today + timedelta(days=DAYS[text])).isoformat()
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            self.sheet.wrong(node, "is not a day such as 1900-01-31, nor 'today' or 'tomorrow'")
            return text
