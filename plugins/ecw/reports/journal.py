"""The Integration Logs by pages, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select, union

from ecw.crm.db.tables import ecw_journal

PAGE = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; what is None does not matter.  `record` is an id of either side; the times are half open."""

    practice: str
    direction: str | None = None
    resource: str | None = None
    outcome: str | None = None
    run_id: str | None = None
    record: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def entries(connection: Connection, wanted: Wanted, page: int = 0) -> tuple[list[RowMapping], bool]:
    """Return a page of entries, counted from 0, and whether there are older ones."""
    found = list(connection.execute(statement(wanted).limit(PAGE + 1).offset(page * PAGE)).mappings())
    return found[:PAGE], len(found) > PAGE


def statement(wanted: Wanted) -> Select[Any]:
    """Return the query of the entries, which an index answers whatever is asked for."""
    query = _where(select(ecw_journal), wanted)
    if wanted.record is not None:
        # Two looks into two indexes; an OR would go through the practice's whole journal.
        sides = (query.where(column == wanted.record) for column in (ecw_journal.c.crm_id, ecw_journal.c.ecw_id))
        query = select(union(*sides).subquery())
    columns = query.selected_columns
    return query.order_by(columns.at.desc(), columns.entry)


def practices(connection: Connection) -> list[str]:
    """Return the practices that have entries, in the order of their names."""
    # One step along the index for each practice: DISTINCT would read every entry.
    found: list[str] = []
    first = select(ecw_journal.c.practice).order_by(ecw_journal.c.practice).limit(1)
    while (name := connection.scalar(first.where(ecw_journal.c.practice > found[-1]) if found else first)) is not None:
        found.append(name)
    return found


def _where(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    j = ecw_journal.c
    statement = statement.where(j.practice == wanted.practice)
    for column in ("direction", "resource", "outcome", "run_id"):
        if (value := getattr(wanted, column)) is not None:
            statement = statement.where(j[column] == value)
    if wanted.start is not None:
        statement = statement.where(j.at >= wanted.start)
    return statement.where(j.at < wanted.end) if wanted.end is not None else statement
