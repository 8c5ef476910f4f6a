"""When the CRM itself last changed a row, or a field of it: the rule `newest` compares that time with eCW's version.

Every write of a row sets the CRM's `updated_at`, also the project's own: a trigger cannot tell them apart. So each own
write notes two times in the same transaction: `stamp`, the time that it left in the row, and `edited`, the time that
the row had before. As long as the row's time equals `stamp`, the CRM last changed the row at `edited`.

If the CRM's table has the project's trigger (see the migration), or the CRM fills `ecw_field_change` itself, each field
has a time of its own, and an edit of another field does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Select,
    String,
    Text,
    Update,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    select,
    type_coerce,
    update,
)

from ecw.crm.db.business_table import CHANGED, BusinessTable
from ecw.crm.db.converters import in_utc
from ecw.crm.db.tables import ecw_field_change, ecw_own_write
from ecw.crm.db.upsert import insert
from ecw.three_way_merge import Side

BEING_WRITTEN = "?"  # the stamp until `settle` notes the time that the write left
NEVER = ""  # the stamp of a row that has no time
OWN = "ecw.own_write"  # the PostgreSQL setting that the project's trigger on the fields reads


@dataclass(frozen=True, slots=True)
class Whose:
    """The practice and the resource: the part of the bookkeeping's key that a load's rows share."""

    practice: str
    resource: str


def changed_column(target: BusinessTable) -> Column[Any] | None:
    """Return the column `updated_at`, None if the table has none, or one that does not hold times."""
    found = target.table.columns.get(CHANGED)
    return found if found is not None and isinstance(found.type, DateTime) else None


def columns(connection: Connection, target: BusinessTable) -> list[ColumnElement[Any]]:
    """Return the columns that a query selects for `edited`; the query joins `ecw_own_write` by `joined`."""
    column = changed_column(target)
    stamp: ColumnElement[Any] = null() if column is None else _stamp(connection, column)
    own = ecw_own_write.c
    return [stamp.label("t__stamp"), own.stamp.label("t__own_stamp"), own.edited.label("t__own_edited")]


def joined(target: BusinessTable, whose: Whose) -> ColumnElement[bool]:
    """Return the condition of the outer join with `ecw_own_write`."""
    own = ecw_own_write.c
    return and_(
        own.practice == whose.practice,
        own.resource == whose.resource,
        own.crm_id == cast(target.key, own.crm_id.type),
    )


def edited(row: Mapping[Any, Any]) -> datetime | None:
    """Return when the CRM last changed a row that was selected with `columns`; own writes do not count."""
    stamp = row["t__stamp"]
    if (stamp or NEVER) == row["t__own_stamp"]:
        stamp = row["t__own_edited"]
    return _moment(stamp)


def newer(
    connection: Connection, target: BusinessTable, key: str, crm: datetime | None, emr: datetime | None
) -> Callable[[str], Side | None]:
    """Return a function that returns which side changed a column last, None if that is not known.

    `crm` is when the CRM changed the row, `emr` is eCW's version. The times of the fields are read from the database at
    the first call.
    """
    times: dict[str, datetime] | None = None

    def side(column: str) -> Side | None:
        nonlocal times
        if emr is None:
            return None
        if times is None:
            times = _fields(connection, target, key)
        if column in times:
            return "emr" if emr > times[column] else "crm"
        # Another field was edited: this field has not changed since the first known time.
        if times and crm is not None and crm >= min(times.values()):
            return "emr" if emr > min(times.values()) else None
        return None if crm is None else "emr" if emr > crm else "crm"

    return side


def write(connection: Connection, target: BusinessTable, whose: Whose, statement: Update) -> None:
    """Execute an own UPDATE of the CRM's table, so it is not the CRM's edit. Call `settle` after the last one."""
    column, chosen = changed_column(target), statement.whereclause
    if column is not None and chosen is not None:
        # Mostly no row matches; one query to find that out is cheaper than two statements.
        if not connection.execute(select(select(target.key).where(chosen).exists())).scalar():
            return
        _note_before(connection, target, whose, _stamp(connection, column), chosen)
    connection.execute(statement)


def settle(connection: Connection, target: BusinessTable, whose: Whose) -> None:
    """Note the times that the own writes of this transaction left in the rows."""
    column = changed_column(target)
    if column is None:
        return
    own = ecw_own_write.c
    left = select(func.coalesce(_stamp(connection, column), NEVER)).where(
        target.key == cast(own.crm_id, target.key.type)
    )
    connection.execute(
        update(ecw_own_write)
        .where(own.practice == whose.practice, own.resource == whose.resource, own.stamp == BEING_WRITTEN)
        .values(stamp=func.coalesce(left.scalar_subquery(), NEVER))
    )


def note_inserted(connection: Connection, target: BusinessTable, whose: Whose, keys: Select[Any]) -> None:
    """Note the times of the inserted rows: a default of the table, or a trigger, may have set them."""
    column = changed_column(target)
    # In a first load mostly no row has a time, which this query finds at once.
    if column is None or not connection.execute(select(exists().where(column.is_not(None)))).scalar():
        return
    stamp = _stamp(connection, column)
    noted = select(
        literal(whose.practice), literal(whose.resource), cast(target.key, String), stamp, null().label("edited")
    ).where(column.is_not(None), target.key.in_(keys))
    statement = insert(connection, ecw_own_write).from_select(ecw_own_write.columns.keys(), noted)
    new = {"stamp": statement.excluded.stamp, "edited": None}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(ecw_own_write.primary_key.columns), set_=new)
    )


def begin_own_writes(connection: Connection) -> None:
    """Make the project's trigger on the fields ignore the writes of this transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.set_config(OWN, "on", True)))


def _note_before(
    connection: Connection,
    target: BusinessTable,
    whose: Whose,
    stamp: ColumnElement[Any],
    chosen: ColumnElement[bool],
) -> None:
    """Note the CRM's times of the rows that are about to be written."""
    noted = (
        select(
            literal(whose.practice),
            literal(whose.resource),
            cast(target.key, String),
            literal(BEING_WRITTEN),
            stamp,
        )
        .select_from(target.table)
        .where(chosen)
        .distinct()
    )
    statement = insert(connection, ecw_own_write).from_select(ecw_own_write.columns.keys(), noted)
    own, present = ecw_own_write.c, statement.excluded.edited
    own_write = own.stamp.in_([BEING_WRITTEN, func.coalesce(present, NEVER)])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ecw_own_write.primary_key.columns),
            set_={"stamp": BEING_WRITTEN, "edited": case((own_write, own.edited), else_=present)},
        )
    )


def _fields(connection: Connection, target: BusinessTable, key: str) -> dict[str, datetime]:
    c = ecw_field_change.c
    statement = select(c.column, c.changed_at).where(c.table == target.table.name, c.crm_id == key)
    return {row.column: row.changed_at for row in connection.execute(statement)}


def _stamp(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Return a time as text; equal times give equal texts, in every time zone of the session."""
    if connection.dialect.name == "postgresql":
        return cast(func.extract("epoch", column), Text)
    return type_coerce(column, Text)


def _moment(stamp: str | None) -> datetime | None:
    if not stamp:
        return None
    try:
        return datetime.fromtimestamp(float(stamp), UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return in_utc(datetime.fromisoformat(stamp))
    except ValueError:
        return None
