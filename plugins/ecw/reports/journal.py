"""The Integration Logs, the newest first: entries by pages, and runs with what they did.

A page begins where the page before ended (a `Position`), so the thousandth page costs what the first one does. Each
filter has an index in the order of the pages; of several filters the rarest leads, see `_leads`.
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

from ecw.crm.db.tables import UtcTime, ecw_journal, ecw_run
from ecw.crm.journal import PULL

PAGE = 50
COUNTED = 500  # entries of a run that are counted; of more it is said that there are more
STEPS = 200  # runs that are read for one page
CSV_ROWS = 100_000
DONE = "done"

j = ecw_journal.c


class Position(NamedTuple):
    """Where a page ended: the entry's time, run and id; the pages' order."""

    at: datetime
    run_id: str
    entry: str

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.entry} {self.run_id}"

    @classmethod
    def read(cls, written: str) -> Self:
        """Return the position that a page's address has.  Raises ValueError."""
        at, entry, run_id = written.split(" ", 2)
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return cls(moment, run_id, entry)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; what is None does not matter.  `record` is an id of either side; the times are half open."""

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
    """How many entries of a run did the same thing; of a run with more than COUNTED, among the newest of them."""

    direction: str
    resource: str
    operation: str
    outcome: str
    entries: int


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run among the entries that are wanted: when its newest one was, how many, and what they did.

    `mode` and the numbers are the ledger's, of a pull: all of the run, whatever the filters are.
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
    connection: Connection, wanted: Wanted, before: Position | None = None, limit: int = PAGE
) -> tuple[list[RowMapping], Position | None]:
    """Return a page of entries, and where the next page begins, None where there is none."""
    found = list(connection.execute(statement(connection, wanted, before, limit + 1)).mappings())
    page = found[:limit]
    return page, position_of(page[-1]) if len(found) > limit else None


def position_of(row: RowMapping) -> Position:
    """Return where an entry stands."""
    return Position(row["at"], row["run_id"], row["entry"])


def statement(connection: Connection, wanted: Wanted, before: Position | None = None, limit: int = PAGE) -> Select[Any]:
    """Return the query of a page's entries, which an index answers whatever is asked for."""
    query = select(ecw_journal).where(*_where(connection, wanted))
    if before is not None:
        query = query.where(tuple_(j.at, j.run_id, j.entry) < _key(before))
    if wanted.record is not None:
        # Two looks into two indexes; an OR would go through the practice's whole journal.
        sides = [
            _ordered(query.where(column == wanted.record), no_index(connection, j.at)).limit(limit)
            for column in (j.crm_id, j.ecw_id)
        ]
        query = select(union(*(select(side.subquery()) for side in sides)).subquery())
    return _ordered(query).limit(limit)


def every(connection: Connection, wanted: Wanted, most: int = CSV_ROWS) -> Iterator[RowMapping]:
    """Yield the entries, the newest first, up to a number; never more than a thousand are in memory."""
    before: Position | None = None
    left = most
    while left > 0:
        page, before = entries(connection, wanted, before, min(1000, left))
        yield from page
        left -= len(page)
        if before is None:
            return


def runs(
    connection: Connection, wanted: Wanted, before: Position | None = None, limit: int = 25
) -> tuple[list[RunLine], Position | None]:
    """Return a page of runs that have wanted entries, by their newest one, and where the next page begins.

    Each run is one step along the index, however many entries it has. Of `wanted.record` there is no page.
    """
    where = _where(connection, wanted)
    found: list[RunLine] = []
    seen: list[str] = []
    at = before
    for _ in range(STEPS):
        query = select(j.at, j.run_id, j.entry).where(*where)
        if at is not None:
            query = query.where(tuple_(j.at, j.run_id) < tuple_(literal(at.at, UtcTime), literal(at.run_id, String)))
        if seen:
            query = query.where(j.run_id.not_in(seen))
        row = connection.execute(_ordered(query).limit(1)).one_or_none()
        if row is None:
            return _with_ledger(connection, wanted.practice, found), None
        at = Position(*row)
        seen.append(at.run_id)
        if before is not None and _has_newer(connection, wanted, at.run_id, before):
            continue  # stood on a page before
        found.append(_line(connection, wanted, at))
        if len(found) == limit:
            break
    return _with_ledger(connection, wanted.practice, found), at


def practices(connection: Connection) -> list[str]:
    """Return the practices that have entries, by name."""
    return _values(connection, j.practice, select(j.practice))


def outcomes(connection: Connection, practice: str) -> list[str]:
    """Return the outcomes that a practice's entries have."""
    rare = _values(connection, j.outcome, select(j.outcome).where(j.practice == practice, _NOT_DONE))
    return [DONE, *rare]


def codes(connection: Connection, practice: str) -> list[str]:
    """Return eCW's codes that a practice's entries have."""
    return _values(connection, j.code, select(j.code).where(j.practice == practice, j.code.is_not(None)))


def no_index(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Keep SQLite, which has no statistics, from walking an index for the sake of this column."""
    if connection.dialect.name != "sqlite":
        return column
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


_NOT_DONE, _NOT_PULLED = text(f"outcome <> '{DONE}'"), text(f"direction <> '{PULL}'")  # as their indexes have it


def _values(connection: Connection, column: ColumnElement[Any], query: Select[Any]) -> list[str]:
    """Return a column's values: one step along its index for each, where DISTINCT would read every entry."""
    found: list[str] = []
    first = query.order_by(column).limit(1)
    while (value := connection.scalar(first.where(column > found[-1]) if found else first)) is not None:
        found.append(value)
        if len(found) == 200:
            break
    return found


def _where(connection: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[Any] = [j.practice == wanted.practice]
    leading = _leads(wanted)
    for name in ("direction", "resource", "outcome", "code", "run_id"):
        if (value := getattr(wanted, name)) is None:
            continue
        column = j[name] if name in leading else no_index(connection, j[name])
        conditions.append(column == value)
    if "outcome" in leading:
        conditions.append(_NOT_DONE)
    if "direction" in leading:
        conditions.append(_NOT_PULLED)
    if wanted.start is not None:
        conditions.append(j.at >= wanted.start)
    if wanted.end is not None:
        conditions.append(j.at < wanted.end)
    return conditions


def _leads(wanted: Wanted) -> tuple[str, ...]:
    """Return the filter whose index is walked: the one that leaves the fewest entries."""
    if wanted.record is not None:
        return ()
    if wanted.run_id is not None:
        return ("run_id",)
    if wanted.code is not None:
        return ("code",)
    if wanted.outcome not in (None, DONE):
        return ("outcome",)
    if wanted.direction not in (None, PULL):
        return ("direction",)
    return ("resource",) if wanted.resource is not None else ()


def _ordered(query: Select[Any], at: ColumnElement[Any] | None = None) -> Select[Any]:
    columns = query.selected_columns
    return query.order_by((columns.at if at is None else at).desc(), columns.run_id.desc(), columns.entry.desc())


def _key(at: Position) -> Any:
    return tuple_(literal(at.at, UtcTime), literal(at.run_id, String), literal(at.entry, String))


def _has_newer(connection: Connection, wanted: Wanted, run_id: str, than: Position) -> bool:
    of_run = _where(connection, replace(wanted, run_id=run_id))
    newer = and_(j.at >= than.at, tuple_(j.at, j.run_id) >= tuple_(literal(than.at, UtcTime), literal(than.run_id)))
    return connection.scalar(select(j.entry).where(*of_run, newer).limit(1)) is not None


def _line(connection: Connection, wanted: Wanted, newest: Position) -> RunLine:
    of_run = _where(connection, replace(wanted, run_id=newest.run_id))
    some = select(j.direction, j.resource, j.operation, j.outcome).where(*of_run).limit(COUNTED + 1).subquery().c
    kinds = (some.direction, some.resource, some.operation, some.outcome)
    rows = connection.execute(select(*kinds, func.count()).group_by(*kinds))
    parts = sorted((Part(*row) for row in rows), key=lambda part: -part.entries)
    total = sum(part.entries for part in parts)
    return RunLine(newest.run_id, newest.at, min(total, COUNTED), total > COUNTED, parts)


def _with_ledger(connection: Connection, practice: str, lines: Sequence[RunLine]) -> list[RunLine]:
    r = ecw_run.c
    ids = [line.run_id for line in lines]
    sums = [func.sum(column).label(column.name) for column in (r.inserted, r.updated, r.rejected)]
    states = (func.min(r.mode).label("mode"), func.min(r.state).label("state"))
    query = select(r.run_id, *sums, *states).where(r.practice == practice, r.run_id.in_(ids)).group_by(r.run_id)
    known = {row["run_id"]: row for row in connection.execute(query).mappings()} if ids else {}
    names = ("mode", "inserted", "updated", "rejected", "state")
    return [
        replace(line, **{name: known[line.run_id][name] for name in names}) if line.run_id in known else line
        for line in lines
    ]
