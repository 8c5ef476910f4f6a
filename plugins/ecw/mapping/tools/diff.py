"""Count what a mapping file would change in the loaded rows, without writing anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from ecw.mapping.transform.to_row import Mapper

SHOWN = 10  # ids of changed records
CHUNK = 500  # rows looked up at a time: old SQLite allows 999 parameters

Rows = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Difference:
    """Counts, and the eCW ids of some changed records; no values."""

    records: int = 0
    same: int = 0
    changed: int = 0
    not_loaded: int = 0  # the mapping gives a row, the CRM has none
    rejected: int = 0  # the mapping no longer gives a row
    columns: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # columns that the CRM's table does not have

    def plain(self) -> dict[str, Any]:
        """Return the difference as a JSON object."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


def difference(mapper: Mapper, resources: Iterable[dict[str, Any]], rows: Callable[[list[str]], Rows]) -> Difference:
    """Map staged resources and compare them with the rows; `rows` looks up rows of the CRM by eCW id."""
    found = Difference()
    missing: set[str] = set()
    for chunk in _chunks(resources):
        mapped = [(str(resource.get("id")), mapper.row(resource)) for resource in chunk]
        loaded = rows([ecw_id for ecw_id, _ in mapped])
        for ecw_id, result in mapped:
            found.records += 1
            if result.problems:
                found.rejected += 1
                found.rules.update({f"{problem.column or 'record'}: {problem.rule}" for problem in result.problems})
            elif ecw_id not in loaded:
                found.not_loaded += 1
            else:
                changed = list(_changed(mapper, result.row, loaded[ecw_id], missing))
                found.columns.update(changed)
                found.changed += bool(changed)
                found.same += not changed
                if changed and len(found.examples) < SHOWN:
                    found.examples.append(ecw_id)
    found.missing = sorted(missing)
    return found


def _chunks(resources: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for resource in resources:
        chunk.append(resource)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _changed(mapper: Mapper, row: dict[str, Any], loaded: dict[str, Any], missing: set[str]) -> Iterable[str]:
    for column in mapper.columns:
        if column.name not in loaded:
            missing.add(column.name)
            continue
        current = loaded[column.name]
        if column.update == "once" and current is not None:
            continue  # the first value stays
        if not same(row[column.name], current):
            yield column.name


def same(value: Any, loaded: Any) -> bool:
    """Return True if a row's JSON value equals the value that the database returns for it."""
    if isinstance(loaded, datetime):
        moment = loaded if loaded.tzinfo else loaded.replace(tzinfo=UTC)
        return isinstance(value, str) and datetime.fromisoformat(value) == moment
    if isinstance(loaded, date):
        return bool(value == loaded.isoformat())
    if isinstance(loaded, Decimal | float) and isinstance(value, int | float):
        return math.isclose(value, loaded, rel_tol=1e-6, abs_tol=1e-6)  # a NUMERIC column rounds
    return bool(value == loaded)
