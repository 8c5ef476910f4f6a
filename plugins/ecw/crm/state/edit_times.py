"""When the CRM itself last changed a row, or a field of it: what the rule `newest` compares with eCW's version.

Whoever writes the row sets the CRM's `updated_at`, we too: a trigger sees no difference.  So each of our writes notes,
in the same transaction, the time that it left behind and the CRM's own time from before it.  As long as the row still
has the first, the second is when the CRM changed it.

Where the CRM's table has our trigger (see the migration), or the CRM fills `ecw_field_change` itself, each field has a
time of its own, and an edit of another field says nothing.
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

BEING_WRITTEN = "?"  # a stamp between the two halves of a write
NEVER = ""  # the stamp of a row that has no time
OWN = "ecw.own_write"  # PostgreSQL's setting that our trigger on the fields looks at


@dataclass(frozen=True, slots=True)
class Whose:
    """The bookkeeping's key of a resource's rows."""

    practice: str
    resource: str


def changed_column(target: BusinessTable) -> Column[Any] | None:
    """Return the column that says when a row was changed, None where the table has none that holds times."""
    found = target.table.columns.get(CHANGED)
    return found if found is not None and isinstance(found.type, DateTime) else None


def columns(connection: Connection, target: BusinessTable) -> list[ColumnElement[Any]]:
    """Return what a query selects for `edited`; it joins `joined`."""
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
    """Return when the CRM last changed a row that was selected with `columns`, our own writes apart."""
    stamp = row["t__stamp"]
    if (stamp or NEVER) == row["t__own_stamp"]:
        stamp = row["t__own_edited"]
    return _moment(stamp)


def newer(
    connection: Connection, target: BusinessTable, key: str, crm: datetime | None, emr: datetime | None
) -> Callable[[str], Side | None]:
    """Return which side changed a column last: the function asks the database only for a column that needs it.

    `crm` is when the CRM changed the row, `emr` eCW's version.  None where it cannot be known.
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
        # Another field was edited: this one is as it was before the first time that is known.
        if times and crm is not None and crm >= min(times.values()):
            return "emr" if emr > min(times.values()) else None
        return None if crm is None else "emr" if emr > crm else "crm"

    return side


def write(connection: Connection, target: BusinessTable, whose: Whose, statement: Update) -> None:
    """Execute an UPDATE of the CRM's table that is no edit of the CRM's; `settle` ends the transaction's writes."""
    column, chosen = changed_column(target), statement.whereclause
    if column is not None and chosen is not None:
        # Mostly there is nothing to write, and to find that out once is enough.
        if not connection.execute(select(select(target.key).where(chosen).exists())).scalar():
            return
        _note_before(connection, target, whose, _stamp(connection, column), chosen)
    connection.execute(statement)


def settle(connection: Connection, target: BusinessTable, whose: Whose) -> None:
    """Note the times that the writes of this transaction have left."""
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
    """Note the times that rows have which we inserted: a default of the table, or a trigger, may have set them."""
    column = changed_column(target)
    # The table's first rows mostly have no time at all, which is seen at once.
    if column is None or not connection.execute(select(exists().where(column.is_not(None)))).scalar():
        return
    stamp = _stamp(connection, column)
    found = select(
        literal(whose.practice), literal(whose.resource), cast(target.key, String), stamp, null().label("edited")
    ).where(column.is_not(None), target.key.in_(keys))
    statement = insert(connection, ecw_own_write).from_select(ecw_own_write.columns.keys(), found)
    new = {"stamp": statement.excluded.stamp, "edited": None}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(ecw_own_write.primary_key.columns), set_=new)
    )


def begin_own_writes(connection: Connection) -> None:
    """Tell our trigger on the fields that what this transaction writes is no edit of the CRM's."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.set_config(OWN, "on", True)))


def _note_before(
    connection: Connection,
    target: BusinessTable,
    whose: Whose,
    stamp: ColumnElement[Any],
    chosen: ColumnElement[bool],
) -> None:
    """Keep the CRM's own times of the rows that are about to be written."""
    found = (
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
    statement = insert(connection, ecw_own_write).from_select(ecw_own_write.columns.keys(), found)
    own, now = ecw_own_write.c, statement.excluded.edited
    ours = own.stamp.in_([BEING_WRITTEN, func.coalesce(now, NEVER)])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ecw_own_write.primary_key.columns),
            set_={"stamp": BEING_WRITTEN, "edited": case((ours, own.edited), else_=now)},
        )
    )


def _fields(connection: Connection, target: BusinessTable, key: str) -> dict[str, datetime]:
    c = ecw_field_change.c
    statement = select(c.column, c.changed_at).where(c.table == target.table.name, c.crm_id == key)
    return {row.column: row.changed_at for row in connection.execute(statement)}


def _stamp(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Return a time as a text that is the same whenever the time is, whatever the session's zone."""
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
