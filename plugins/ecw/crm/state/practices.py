"""The practices of a CRM: the server of each practice code, the practices that share tables, and each row's practice.

A row belongs to the practice that its practice column names. A row that names none belongs to the CRM's only practice.
As soon as the CRM has a second practice, such a row belongs to none: it is not pushed, and `ecw practice rows` lists
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Update,
    and_,
    cast,
    exists,
    false,
    func,
    or_,
    select,
    true,
    update,
)

from ecw.crm.db.business_table import BusinessTable, Mapped, find
from ecw.crm.db.tables import ecw_intent, ecw_link, ecw_practice, ecw_push_item
from ecw.crm.db.upsert import insert
from ecw.errors import ConfigurationError

SHOWN = 20  # CRM ids that a list of rows names


def require(connection: Connection, practice: str, base_url: str) -> None:
    """Raise ConfigurationError if this CRM has the practice code with another base URL: that is another practice."""
    known = connection.scalar(select(ecw_practice.c.base_url).filter_by(practice=practice))
    if known not in (None, base_url):
        raise ConfigurationError(
            f"In this CRM the practice code {practice} means {known}, but the connection has {base_url}.",
            next_step="give each practice a CRM database of its own, or correct the connection. If eCW has moved the "
            "practice to another address, run `ecw practice moved`.",
        )


def claim(connection: Connection, practice: str, base_url: str) -> None:
    """Note the practice's base URL the first time, in the caller's transaction.

    Raises ConfigurationError if another one is noted.
    """
    row = {"practice": practice, "base_url": base_url, "since": datetime.now(UTC)}
    connection.execute(insert(connection, ecw_practice).values(row).on_conflict_do_nothing())
    require(connection, practice, base_url)


def move(connection: Connection, practice: str, base_url: str) -> str | None:
    """Note a practice's new base URL; return the old one, None if the practice is not known."""
    before: str | None = connection.scalar(select(ecw_practice.c.base_url).filter_by(practice=practice))
    now = {"base_url": base_url, "since": datetime.now(UTC)}
    connection.execute(update(ecw_practice).filter_by(practice=practice).values(now))
    return before


def known(connection: Connection) -> list[tuple[str, str]]:
    """Return the practices and their base URLs."""
    statement = select(ecw_practice.c.practice, ecw_practice.c.base_url).order_by(ecw_practice.c.practice)
    return [(row.practice, row.base_url) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a business table belong to a practice; `other` is another practice that uses the table, if any.

    The conditions are over the table's own columns, for queries that read or write it.
    """

    practice: str
    target: BusinessTable
    other: str | None

    @property
    def mine(self) -> ColumnElement[bool]:
        """The rows that belong to the practice."""
        column = self.target.practice
        if column is None:
            return true() if self.other is None else false()
        named = column == self.practice
        return named if self.other is not None else or_(named, _empty(column))

    @property
    def unassigned(self) -> ColumnElement[bool]:
        """The rows that name no practice and could belong to another one."""
        if self.other is None:
            return false()
        return true() if self.target.practice is None else _empty(self.target.practice)

    @property
    def theirs(self) -> ColumnElement[bool]:
        """The rows that name another practice."""
        column = self.target.practice
        return false() if column is None else and_(~_empty(column), column != self.practice)

    @property
    def written(self) -> dict[str, Any]:
        """The practice column and its value, for a row of the practice that is written."""
        return {} if self.target.practice is None else {self.target.practice.name: self.practice}


def rows(connection: Connection, practice: str, resource: str, target: BusinessTable) -> Rows:
    """Return which rows of a resource's table belong to a practice now."""
    return Rows(practice, target, beside(connection, practice, resource, target))


def shown(connection: Connection, practice: str, resource: str, target: BusinessTable) -> ColumnElement[bool]:
    """Return the condition of the rows of a resource's table that the console shows for a practice.

    They are the rows that name it, and those that name no practice: all of them if the bookkeeping has no other
    practice, else the linked ones.
    """
    column, unnamed = target.practice, true() if target.practice is None else _empty(target.practice)
    other = _another(connection, ecw_practice.c.practice, practice) or linked_beside(connection, practice, resource)
    if other or pushing_beside(connection, practice, resource):
        link = ecw_link.alias().c  # the enclosing query may use the table itself
        of_row = link.crm_id == cast(target.key, link.crm_id.type)
        unnamed = and_(unnamed, exists().where(link.practice == practice, link.resource == resource, of_row))
    return unnamed if column is None else or_(column == practice, unnamed)


def beside(connection: Connection, practice: str, resource: str, target: BusinessTable) -> str | None:
    """Return another practice that uses a resource's table, None if there is none.

    Such a practice was synchronised with this CRM, has links or pushes here, or a row names it.
    """
    found = _another(connection, ecw_practice.c.practice, practice) or linked_beside(connection, practice, resource)
    found = found or pushing_beside(connection, practice, resource)
    if found is None and target.practice is not None:
        found = _another(connection, target.practice, practice, func.trim(target.practice) != "")
    return found


@dataclass(frozen=True, slots=True)
class Unassigned:
    """Rows of one table that name no practice (`practice_code` is empty), or one that the CRM does not have."""

    resource: str
    table: str
    practice_code: str
    rows: int
    crm_ids: tuple[str, ...]  # the first of them


def unassigned(connection: Connection, tables: Iterable[tuple[str, Mapped]]) -> list[Unassigned]:
    """Return the rows of these resources' tables that belong to no practice; none if the CRM has only one practice.

    In a table without a practice column these are all rows that are not linked.
    Raises CrmSchemaError.
    """
    codes = {code for code, _ in known(connection)}
    return [one for resource, mapped in tables for one in _unassigned(connection, resource, mapped, codes)]


def _unassigned(connection: Connection, resource: str, mapped: Mapped, known: set[str]) -> Iterator[Unassigned]:
    target = find(connection, mapped)
    if len(known) < 2 and beside(connection, min(known, default=""), resource, target) is None:
        return
    column, crm_id = target.practice, cast(target.key, ecw_link.c.crm_id.type)
    table = target.table

    def first_ids(*condition: ColumnElement[bool]) -> tuple[str, ...]:
        found = select(crm_id).select_from(table).where(*condition).order_by(target.key).limit(SHOWN)
        return tuple(connection.scalars(found))

    if column is None:
        linked = select(ecw_link.c.crm_id).where(ecw_link.c.resource == resource, ecw_link.c.crm_id == crm_id)
        free = ~linked.exists()
        if count := connection.scalar(select(func.count()).select_from(table).where(free)):
            yield Unassigned(resource, mapped.table, "", count, first_ids(free))
        return
    named = func.trim(func.coalesce(column, ""))
    condition = or_(named == "", column.not_in(sorted(known)))
    for name, rows in connection.execute(select(named, func.count()).where(condition).group_by(column)).all():
        yield Unassigned(resource, mapped.table, name, rows, first_ids(condition, named == name))


def label(own: Rows, resource: str) -> Update | None:
    """Return the UPDATE that writes the practice into its linked rows that name none; None without a practice column.

    A row that is also linked by another practice is not changed.
    """
    target = own.target
    column, crm_id = target.practice, cast(target.key, ecw_link.c.crm_id.type)
    if column is None:
        return None

    def linked(by: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(by, ecw_link.c.resource == resource, ecw_link.c.crm_id == crm_id)

    own_links, other_links = ecw_link.c.practice == own.practice, ecw_link.c.practice != own.practice
    return update(target.table).where(_empty(column), linked(own_links), ~linked(other_links)).values(own.written)


def linked_beside(connection: Connection, practice: str, resource: str) -> str | None:
    """Return another practice that has links of the resource, None if there is none."""
    return _another(connection, ecw_link.c.practice, practice, ecw_link.c.resource == resource)


def pushing_beside(connection: Connection, practice: str, resource: str) -> str | None:
    """Return another practice that was pushed from this CRM, or is planned to be; None if there is none."""
    return next(
        (
            found
            for it in (ecw_intent, ecw_push_item)
            if (found := _another(connection, it.c.practice, practice, it.c.resource == resource))
        ),
        None,
    )


def _another(connection: Connection, column: Column[Any], practice: str, *where: ColumnElement[bool]) -> str | None:
    # Two ranges of the key instead of <>, which would scan all rows of this practice.
    for other in (column < practice, column > practice):
        if found := connection.scalar(select(column).where(other, *where).limit(1)):
            return str(found)
    return None


def _empty(column: Column[Any]) -> ColumnElement[bool]:
    return or_(column.is_(None), func.trim(column) == "")
