"""The linked rows in the range that an extraction covered: a record that eCW did not return may be deleted there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, DateTime, Engine, Select, cast, func, select

from ecw.crm.db.business_table import BusinessTable, Mapped, find
from ecw.crm.db.engine import reading
from ecw.crm.db.enums import LinkStatus
from ecw.crm.db.tables import ecw_link

_CHUNK = 5_000  # rows fetched at a time
_IDS_PER_STATEMENT = 1_000  # SQLite and PostgreSQL both take that many parameters


@dataclass(frozen=True, slots=True)
class LinkedRows:
    """The rows of a business table that are linked to records of a resource, except records deleted in eCW."""

    engine: Engine
    practice: str
    resource: str
    mapped: Mapped

    def between(self, column: str, start: datetime, end: datetime) -> Iterator[str]:
        """Yield the eCW ids of the rows whose time in `column` is in the half-open span, the earliest first.

        Yields none if that column does not hold dates with times.
        """
        with reading(self.engine) as connection:
            target = find(connection, self.mapped)
            times = target.columns[column]
            if not isinstance(times.type, DateTime):
                return
            fit = target.converters[column]
            inside = (times >= fit(start.isoformat()), times < fit(end.isoformat()))
            yield from _ids(connection, self._linked(target, *inside).order_by(times, ecw_link.c.ecw_id))

    def referring(self, column: str, references: Sequence[str]) -> Iterator[str]:
        """Yield the eCW ids of the rows whose `column` holds one of the references (`Patient/<eCW id>`)."""
        with reading(self.engine) as connection:
            target = find(connection, self.mapped)
            for at in range(0, len(references), _IDS_PER_STATEMENT):
                named = target.columns[column].in_(references[at : at + _IDS_PER_STATEMENT])
                yield from _ids(connection, self._linked(target, named).order_by(ecw_link.c.ecw_id))

    def _linked(self, target: BusinessTable, *where: ColumnElement[bool]) -> Select[str]:
        link = ecw_link.c
        return (
            select(link.ecw_id)
            .join(target.table, target.key == cast(link.crm_id, target.key.type))
            .where(
                link.practice == self.practice,
                link.resource == self.resource,
                link.status.is_distinct_from(LinkStatus.DELETED),
                *where,
            )
        )


def beginnings(engine: Engine, mapped: Mapped, names: Sequence[str]) -> Iterator[str]:
    """Yield the first characters of the values in these columns, each once a column, over all rows of the CRM."""
    with reading(engine) as connection:
        target = find(connection, mapped)
        for name in names:
            begins = func.substr(func.trim(target.columns[name]), 1, 1)
            yield from filter(None, connection.scalars(select(begins).distinct()))


def _ids(connection: Connection, statement: Select[str]) -> Iterator[str]:
    yield from connection.execution_options(yield_per=_CHUNK).scalars(statement)
