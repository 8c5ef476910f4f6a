"""What each rule looks at in a row, in the one type that its check compares.

Some checks need more than the row: how often a value is in the whole batch, whether a reference is linked. What they
look at is a number made of that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from ecw.quality.suite import Rule, Suite
from ecw.quality.value_counts import Copies
from ecw.resources import RESOURCES

Row = Mapping[str, Any]
Linked = Callable[[str, Collection[str]], Collection[str]]  # of a resource's eCW ids those that are linked
Seen = Mapping[str, Collection[str]]  # FHIR type -> the ids that are linked
NAMES = MappingProxyType({resource.fhir_type: resource.name for resource in RESOURCES.values()})
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DAY_LENGTH = len("YYYY-MM-DD")


class Looking:
    """Looks at rows as the rules of a suite do.  `close` lets go of what was counted."""

    def __init__(self, suite: Suite, linked: Linked) -> None:
        self._rules = tuple(enumerate(suite.rules))
        self._linked = linked
        self._copies = Copies()

    def count(self, rows: Iterable[Row]) -> None:
        """Count the values that must be unique over the whole batch, which a chunk cannot know."""
        unique = [(number, rule) for number, rule in self._rules if rule.check == "unique"]
        for row in rows if unique else ():
            for number, rule in unique:
                self._copies.add(number, _first(rule, row))

    def columns(self, rows: Sequence[Row]) -> list[list[Any]]:
        """Return, for each rule, what it looks at in each of the rows."""
        seen = self._seen(rows)
        return [[self._value(number, rule, row, seen) for row in rows] for number, rule in self._rules]

    def close(self) -> None:
        """Let the counted values go."""
        self._copies.close()

    def _seen(self, rows: Sequence[Row]) -> Seen:
        """Ask once a chunk and resource which of the records that the rows refer to are linked."""
        asked: defaultdict[str, set[str]] = defaultdict(set)
        for _, rule in self._rules:
            if rule.check == "known":
                for row in rows:
                    fhir_type, _, ecw_id = str(_first(rule, row) or "").partition("/")
                    if fhir_type in NAMES and ecw_id:
                        asked[fhir_type].add(ecw_id)
        return {fhir_type: self._linked(NAMES[fhir_type], ids) for fhir_type, ids in asked.items()}

    def _value(self, number: int, rule: Rule, row: Row, seen: Seen) -> Any:
        value = _first(rule, row)
        if rule.check == "unique":
            return self._copies.times(number, value)
        if value is None:
            return None
        match rule.check:
            case "pattern" | "length" | "in":
                return str(value).lower() if isinstance(value, bool) else str(value)
            case "range" if isinstance(value, int):
                return float(value)
            case "date" if isinstance(value, str) and DAY.match(value):
                return date.fromisoformat(value[:DAY_LENGTH]).toordinal()
            case "known":
                fhir_type, _, ecw_id = str(value).partition("/")
                return int(ecw_id in seen.get(fhir_type, ()))
            case "not_before":
                return _later(value, row.get(rule.value))
        return value


def _first(rule: Rule, row: Row) -> Any:
    return next((row[column] for column in rule.columns if row.get(column) is not None), None)


def _later(end: Any, start: Any) -> Any:
    """Return by how much the end is later: in days if one of them is a day, else in seconds; None without a start.

    What is neither a day nor a time comes back as it is, and the rule cannot be applied to it.
    """
    if start is None:
        return None
    try:
        if DAY_LENGTH in (len(end), len(start)):
            return (date.fromisoformat(end[:DAY_LENGTH]) - date.fromisoformat(start[:DAY_LENGTH])).days
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):
        return str(end)
