"""Write the merged rows into the CRM's table, and mark those whose record is inactive, merged or deceased in eCW.

If the CRM refuses a row, does not keep it, or changes its eCW id, the record becomes a reject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, cast, exists, func, literal, null, select, true, update

from ecw.crm.db.business_table import STATUS, BusinessTable, as_read
from ecw.crm.db.enums import StageAction
from ecw.crm.db.errors import row_refused
from ecw.crm.db.in_parts import in_parts
from ecw.crm.db.tables import ecw_link
from ecw.crm.load.references import key_of_reference
from ecw.crm.load.stage import CHUNK, Stage, refuse
from ecw.crm.load.write_links import status_column
from ecw.crm.load.writing.rewritten import may_rewrite
from ecw.crm.state import edit_times, practices

Chosen = ColumnElement[bool]


def write_rows(connection: Connection, stage: Stage, own: practices.Rows, whose: edit_times.Whose) -> None:
    """Write the rows with the actions `insert` and `update`; those that the CRM refuses become rejects."""
    target = own.target
    s, t, watched = stage.rows, target.table, may_rewrite(connection, target)
    changing = stage.values
    meant = {name: column for name, column in target.meant.items() if name in changing}
    # A key column that is NOT NULL is filled with the row: its record is linked, other rows are deferred.
    needed = {
        column.name: key_of_reference(whose, changing[name], column)
        for name, column in meant.items()
        if not column.nullable
    }
    # If a reference changes, its old key is cleared; `references.resolve` fills in the new one.
    forgotten = {
        column.name: case(
            (target.columns[name].is_distinct_from(changing[name]), needed.get(column.name, null())), else_=column
        )
        for name, column in meant.items()
    }

    def write(chosen: Chosen) -> None:
        new = and_(s.c.action == StageAction.INSERT, chosen)
        practice = [literal(value) for value in own.written.values()]
        staged = select(s.c.crm_id, *changing.values(), *needed.values(), *practice).where(new).order_by(s.c.seq)
        names = [target.key.name, *changing, *needed, *own.written]
        connection.execute(t.insert().from_select(names, staged, include_defaults=False))
        if watched:
            _follow_keys(connection, stage, own, whose, new)
        edit_times.note_inserted(connection, target, whose, select(s.c.crm_id).where(new))
        changed = update(t).where(target.key == s.c.crm_id, s.c.action == StageAction.UPDATE, chosen)
        edit_times.write(connection, target, whose, changed.values({**changing, **forgotten}))
        if watched:
            _require_kept(
                connection, stage, target, and_(s.c.action.in_([StageAction.INSERT, StageAction.UPDATE]), chosen)
            )

    _in_parts(connection, stage, s.c.action.in_([StageAction.INSERT, StageAction.UPDATE]), write)


def mark(connection: Connection, stage: Stage, target: BusinessTable, whose: edit_times.Whose) -> None:
    """Mark the rows of records that are inactive, merged or deceased in eCW, with the reason; unmark the others.

    A mark is an update, like that of any other column. It is written after the rows, and also for the action `same`,
    whose staged values are not written, because they are not the CRM's.
    """
    s, column = stage.rows, status_column(target)
    if column is None:
        return
    status = s.c.status + ": " + s.c.status_reason
    differs = column.is_distinct_from(status)
    written = s.c.action.in_([StageAction.INSERT, StageAction.UPDATE, StageAction.SAME])
    to_mark = and_(written, exists().where(target.key == s.c.crm_id, differs))
    numbers = list(connection.scalars(select(s.c.seq).where(to_mark).order_by(s.c.seq)))

    def write(chosen: Chosen) -> None:
        marked = update(target.table).where(target.key == s.c.crm_id, written, differs, chosen)
        edit_times.write(connection, target, whose, marked.values({column.name: status}))

    if numbers:
        _in_parts(connection, stage, to_mark, write)
    for at in range(0, len(numbers), CHUNK):
        changed = and_(s.c.action.in_([StageAction.UPDATE, StageAction.SAME]), s.c.seq.in_(numbers[at : at + CHUNK]))
        fields = func.coalesce(s.c.fields + ", ", "") + STATUS
        connection.execute(update(s).where(changed).values(action=StageAction.UPDATE, fields=fields))


def _in_parts(connection: Connection, stage: Stage, rows: Chosen, write: Callable[[Chosen], None]) -> None:
    """Write the rows that the CRM takes, and reject the others."""
    s = stage.rows

    def numbers() -> Sequence[int]:
        return list(connection.scalars(select(s.c.seq).where(rows).order_by(s.c.seq)))

    def write_part(part_numbers: Sequence[int] | None) -> None:
        write(true() if part_numbers is None else s.c.seq.between(part_numbers[0], part_numbers[-1]))

    for seq, error in in_parts(connection, numbers, write_part).items():
        refuse(connection, stage, {seq: error.reason}, error.rule, error.column)


def _absent(stage: Stage, target: BusinessTable) -> Chosen:
    kept = target.table.alias()  # the enclosing statement may read the table itself
    return ~exists().where(kept.c[target.key.name] == stage.rows.c.crm_id)


def _follow_keys(
    connection: Connection, stage: Stage, own: practices.Rows, whose: edit_times.Whose, new: Chosen
) -> None:
    """Find the new rows to which a trigger of the CRM gave other keys, and note those keys."""
    target = own.target
    absent = and_(new, _absent(stage, target))
    s = stage.rows
    if not connection.execute(select(select(s.c.seq).where(absent).exists())).scalar():
        return
    key: Any = cast(target.key, ecw_link.c.crm_id.type)
    claimed = exists().where(ecw_link.c.resource == whose.resource, ecw_link.c.crm_id == key)
    found = target.columns[target.mapped.key] == s.c.ecw_id
    connection.execute(update(s).where(absent, found, own.mine, ~claimed).values(crm_id=target.key))


def _require_kept(connection: Connection, stage: Stage, target: BusinessTable, written: Chosen) -> None:
    """Raise RowRefused if the table lacks a written row, or holds it under another eCW id."""
    s, name = stage.rows, target.mapped.key
    absent = select(s.c.seq).where(written, s.c.action == StageAction.INSERT, _absent(stage, target))
    if connection.execute(select(absent.exists())).scalar():
        raise row_refused("not kept", by="a trigger or a rule")
    other = as_read(target.columns[name]).is_distinct_from(s.c.ecw_id)
    renamed = select(s.c.seq).where(written, target.key == s.c.crm_id, other)
    if connection.execute(select(renamed.exists())).scalar():
        raise row_refused("id changed", name, by="a trigger")
