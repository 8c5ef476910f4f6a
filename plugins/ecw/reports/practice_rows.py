"""Rows of the CRM that are no practice's, although practices share it: they are pushed nowhere.  Counts and CRM ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, cast, func, or_, select

from ecw.crm.db.business_table import Mapped, find
from ecw.crm.db.tables import ecw_link
from ecw.crm.state import practices

SHOWN = 20  # CRM ids of each


@dataclass(frozen=True, slots=True)
class Unassigned:
    """Rows of one table that say nothing of a practice (`said` is empty), or name one that the CRM does not know."""

    resource: str
    table: str
    said: str
    rows: int
    crm_ids: tuple[str, ...]  # the first of them


def unassigned(connection: Connection, tables: Iterable[tuple[str, Mapped]]) -> list[Unassigned]:
    """Return the rows of these resources' tables that are no practice's; none where one practice has the CRM to itself.

    A table without a column for the practice counts as a whole, less the rows that are linked.
    Raises CrmSchemaError.
    """
    known = {code for code, _ in practices.known(connection)}
    return [one for resource, mapped in tables for one in _of(connection, resource, mapped, known)]


def _of(connection: Connection, resource: str, mapped: Mapped, known: set[str]) -> Iterator[Unassigned]:
    target = find(connection, mapped)
    if len(known) < 2 and practices.beside(connection, min(known, default=""), resource, target) is None:
        return
    column, crm_id = target.practice, cast(target.key, ecw_link.c.crm_id.type)
    table = target.table

    def some(*lost: ColumnElement[bool]) -> tuple[str, ...]:
        found = select(crm_id).select_from(table).where(*lost).order_by(target.key).limit(SHOWN)
        return tuple(connection.scalars(found))

    if column is None:
        linked = select(ecw_link.c.crm_id).where(ecw_link.c.resource == resource, ecw_link.c.crm_id == crm_id)
        free = ~linked.exists()
        if count := connection.scalar(select(func.count()).select_from(table).where(free)):
            yield Unassigned(resource, mapped.table, "", count, some(free))
        return
    said = func.trim(func.coalesce(column, ""))
    lost = or_(said == "", column.not_in(sorted(known)))
    for word, rows in connection.execute(select(said, func.count()).where(lost).group_by(column)).all():
        yield Unassigned(resource, mapped.table, word, rows, some(lost, said == word))
