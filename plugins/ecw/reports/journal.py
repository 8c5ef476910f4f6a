"""The Integration Logs, the newest first: pages of entries, and pages of runs with the counts of their entries.

A page begins where the previous page ended (a `Position`), so the thousandth page is as fast as the first. Each filter
has an index in the order of the pages; if several filters are set, the most selective one chooses the index: `_leads`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    String,
    and_,
    func,
    literal,
    select,
    text,
    tuple_,
    union,
)
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from ecw.crm.db.enums import Direction, JournalOutcome
from ecw.crm.db.tables import UtcTime, ecw_journal, ecw_run

PAGE = 50
COUNTED = 500  # entries of a run that are counted; if there are more, the page shows "500+"
STEPS = 200  # runs that are read for one page
CSV_ROWS = 100_000

j = ecw_journal.c


class Position(NamedTuple):
    """Where a page ended: the time, run and id of its last entry. Pages are ordered by these three."""

    at: datetime
    run_id: str
    entry: str

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.entry} {self.run_id}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the position that `str()` wrote into a page's address.  Raises ValueError."""
        at, entry, run_id = text.split(" ", 2)
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return cls(moment, run_id, entry)


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """A filter of entries; None filters nothing.  `record` is an id of either side; `start` ≤ time < `end`."""

    practice: str
    direction: str | None = None
    resource: str | None = None
    outcome: str | None = None
    code: str | None = None
    run_id: str | None = None
    record: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The number of a run's entries with the same operation and outcome, counted over at most COUNTED entries."""

    direction: str
    resource: str
    operation: str
    outcome: str
    entries: int


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run with entries that match the filter: the time of the newest, their number, and the counts by operation.

    `mode`, `state` and the counts of rows come from ecw_run, so only a pull has them; they cover the whole run.
    """

    run_id: str
    at: datetime
    entries: int
    more: bool
    parts: list[Part]
    mode: str | None = None
    inserted: int | None = None
    updated: int | None = None
    rejected: int | None = None
    state: str | None = None


def entries(
    connection: Connection, criteria: JournalFilter, before: Position | None = None, limit: int = PAGE
) -> tuple[list[RowMapping], Position | None]:
    """Return a page of entries, and where the next page begins, None after the last page."""
    rows = list(connection.execute(statement(connection, criteria, before, limit + 1)).mappings())
    page = rows[:limit]
    return page, position_of(page[-1]) if len(rows) > limit else None


def position_of(row: RowMapping) -> Position:
    """Return the position of an entry."""
    return Position(row["at"], row["run_id"], row["entry"])


def statement(
    connection: Connection, criteria: JournalFilter, before: Position | None = None, limit: int = PAGE
) -> Select[Any]:
    """Return the query of a page's entries; every combination of filters uses an index."""
    query = select(ecw_journal).where(*_where(connection, criteria))
    if before is not None:
        query = query.where(tuple_(j.at, j.run_id, j.entry) < _key(before))
    if criteria.record is not None:
        # One query for each index; an OR would read the practice's whole journal.
        sides = [
            _ordered(query.where(column == criteria.record), no_index(connection, j.at)).limit(limit)
            for column in (j.crm_id, j.ecw_id)
        ]
        query = select(union(*(select(side.subquery()) for side in sides)).subquery())
    return _ordered(query).limit(limit)


def every(connection: Connection, criteria: JournalFilter, most: int = CSV_ROWS) -> Iterator[RowMapping]:
    """Yield at most `most` entries, the newest first; at most a thousand are in memory."""
    before: Position | None = None
    left = most
    while left > 0:
        page, before = entries(connection, criteria, before, min(1000, left))
        yield from page
        left -= len(page)
        if before is None:
            return


def runs(
    connection: Connection, criteria: JournalFilter, before: Position | None = None, limit: int = 25
) -> tuple[list[RunLine], Position | None]:
    """Return a page of the runs with matching entries, by their newest entry, and where the next page begins.

    Each run costs one step along the index, no matter how many entries it has. `criteria.record` must be None.
    """
    where = _where(connection, criteria)
    lines: list[RunLine] = []
    passed: list[str] = []
    at = before
    for _ in range(STEPS):
        query = select(j.at, j.run_id, j.entry).where(*where)
        if at is not None:
            query = query.where(tuple_(j.at, j.run_id) < tuple_(literal(at.at, UtcTime), literal(at.run_id, String)))
        if passed:
            query = query.where(j.run_id.not_in(passed))
        row = connection.execute(_ordered(query).limit(1)).one_or_none()
        if row is None:
            return _with_run_records(connection, criteria.practice, lines), None
        at = Position(*row)
        passed.append(at.run_id)
        if before is not None and _has_newer(connection, criteria, at.run_id, before):
            continue  # an earlier page has it
        lines.append(_line(connection, criteria, at))
        if len(lines) == limit:
            break
    return _with_run_records(connection, criteria.practice, lines), at


def practices(connection: Connection) -> list[str]:
    """Return the practices that have entries, by name."""
    return _values(connection, j.practice, select(j.practice))


def outcomes(connection: Connection, practice: str) -> list[str]:
    """Return the outcomes that a practice's entries have."""
    rare = _values(connection, j.outcome, select(j.outcome).where(j.practice == practice, _NOT_DONE))
    return [JournalOutcome.DONE, *rare]


def codes(connection: Connection, practice: str) -> list[str]:
    """Return the codes of eCW's errors that a practice's entries have."""
    return _values(connection, j.code, select(j.code).where(j.practice == practice, j.code.is_not(None)))


def no_index(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column in a form for which SQLite, which has no statistics here, does not choose an index."""
    if connection.dialect.name != "sqlite":
        return column
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


_NOT_DONE, _NOT_PULLED = (
    text(f"outcome <> '{JournalOutcome.DONE}'"),
    text(f"direction <> '{Direction.PULL}'"),
)  # the conditions of the partial indexes, literally


def _values(connection: Connection, column: ColumnElement[Any], query: Select[Any]) -> list[str]:
    """Return a column's values, at most 200: one step along its index for each, as DISTINCT would read every entry."""
    values: list[str] = []
    first = query.order_by(column).limit(1)
    while (value := connection.scalar(first.where(column > values[-1]) if values else first)) is not None:
        values.append(value)
        if len(values) == 200:
            break
    return values


def _where(connection: Connection, criteria: JournalFilter) -> list[ColumnElement[bool]]:
    conditions: list[Any] = [j.practice == criteria.practice]
    leading = _leads(criteria)
    for name in ("direction", "resource", "outcome", "code", "run_id"):
        if (value := getattr(criteria, name)) is None:
            continue
        column = j[name] if name in leading else no_index(connection, j[name])
        conditions.append(column == value)
    if "outcome" in leading:
        conditions.append(_NOT_DONE)
    if "direction" in leading:
        conditions.append(_NOT_PULLED)
    if criteria.start is not None:
        conditions.append(j.at >= criteria.start)
    if criteria.end is not None:
        conditions.append(j.at < criteria.end)
    return conditions


def _leads(criteria: JournalFilter) -> tuple[str, ...]:
    """Return the filters that may use an index: the one that leaves the fewest entries."""
    if criteria.record is not None:
        return ()
    if criteria.run_id is not None:
        return ("run_id",)
    if criteria.code is not None:
        return ("code",)
    if criteria.outcome not in (None, JournalOutcome.DONE):
        return ("outcome",)
    if criteria.direction not in (None, Direction.PULL):
        return ("direction",)
    return ("resource",) if criteria.resource is not None else ()


def _ordered(query: Select[Any], at: ColumnElement[Any] | None = None) -> Select[Any]:
    columns = query.selected_columns
    return query.order_by((columns.at if at is None else at).desc(), columns.run_id.desc(), columns.entry.desc())


def _key(at: Position) -> Any:
    return tuple_(literal(at.at, UtcTime), literal(at.run_id, String), literal(at.entry, String))


def _has_newer(connection: Connection, criteria: JournalFilter, run_id: str, than: Position) -> bool:
    of_run = _where(connection, replace(criteria, run_id=run_id))
    newer = and_(j.at >= than.at, tuple_(j.at, j.run_id) >= tuple_(literal(than.at, UtcTime), literal(than.run_id)))
    return connection.scalar(select(j.entry).where(*of_run, newer).limit(1)) is not None


def _line(connection: Connection, criteria: JournalFilter, newest: Position) -> RunLine:
    of_run = _where(connection, replace(criteria, run_id=newest.run_id))
    some = select(j.direction, j.resource, j.operation, j.outcome).where(*of_run).limit(COUNTED + 1).subquery().c
    kinds = (some.direction, some.resource, some.operation, some.outcome)
    rows = connection.execute(select(*kinds, func.count()).group_by(*kinds))
    parts = sorted((Part(*row) for row in rows), key=lambda part: -part.entries)
    total = sum(part.entries for part in parts)
    return RunLine(newest.run_id, newest.at, min(total, COUNTED), total > COUNTED, parts)


def _with_run_records(connection: Connection, practice: str, lines: Sequence[RunLine]) -> list[RunLine]:
    r = ecw_run.c
    ids = [line.run_id for line in lines]
    sums = [func.sum(column).label(column.name) for column in (r.inserted, r.updated, r.rejected)]
    states = (func.min(r.mode).label("mode"), func.min(r.state).label("state"))
    query = select(r.run_id, *sums, *states).where(r.practice == practice, r.run_id.in_(ids)).group_by(r.run_id)
    pulls = {row["run_id"]: row for row in connection.execute(query).mappings()} if ids else {}
    names = ("mode", "inserted", "updated", "rejected", "state")
    return [
        replace(line, **{name: pulls[line.run_id][name] for name in names}) if line.run_id in pulls else line
        for line in lines
    ]
