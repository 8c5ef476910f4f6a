"""Record the conflicts: columns that both sides changed, with the winner, or open for a person. Pull and push share it.

Both values stay in this table of the CRM's database. The value that lost is kept nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, select, update

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import ConflictState
from ecw.crm.db.tables import ecw_conflict
from ecw.crm.db.upsert import upsert
from ecw.crm.journal import Choice, decided
from ecw.three_way_merge import Side

OPEN, SETTLED = ConflictState.OPEN, ConflictState.SETTLED
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MergedRecord:
    """The result of merging one record: its key, the winner of each column that both sides changed, and both rows."""

    practice: str
    resource: str
    crm_id: str
    ecw_id: str
    run_id: str
    conflicts: Mapping[str, Side | None]  # None: a person chooses
    crm: Row
    emr: Row


def record(connection: Connection, merged: MergedRecord, *, done: bool = True) -> None:
    """Write the conflicts of one merge, in the caller's transaction; settle the open ones that are no longer conflicts.

    A person's choice stays as long as both values stay. `done` is false before the merged values are sent: eCW's value
    is recorded then, because it is overwritten afterwards. A conflict with a choice stays open until the merge is
    done, so that the choice is not lost if the push fails.
    """
    c = ecw_conflict.c
    of_row = {"practice": merged.practice, "resource": merged.resource, "crm_id": merged.crm_id}
    before = {row["column"]: row for row in connection.execute(select(ecw_conflict).filter_by(**of_row)).mappings()}
    resolved = [name for name, row in before.items() if row["state"] == OPEN and name not in merged.conflicts]
    if resolved and done:
        connection.execute(update(ecw_conflict).filter_by(**of_row).where(c.column.in_(resolved)).values(state=SETTLED))
    for name, winner in merged.conflicts.items():
        old = before.get(name)
        values = {"crm_value": text(merged.crm.get(name)), "emr_value": text(merged.emr.get(name))}
        same = old is not None and all(old[key] == value for key, value in values.items())
        if old and same and old["state"] == OPEN and old["choice"] and not done:
            continue
        upsert(
            connection,
            ecw_conflict,
            of_row | {"column": name},
            values
            | {
                "ecw_id": merged.ecw_id,
                "state": OPEN if winner is None else SETTLED,
                "winner": winner,
                "choice": old["choice"] if old and same else None,
                "first_run": old["first_run"] if old and same else merged.run_id,
                "last_run": merged.run_id,
            },
        )


def choices(connection: Connection, practice: str, resource: str, crm_id: str, crm: Row, emr: Row) -> dict[str, Side]:
    """Return a person's choices by column, as far as both values are still those that the person saw."""
    statement = select(ecw_conflict).filter_by(practice=practice, resource=resource, crm_id=crm_id, state=OPEN)
    return {
        row["column"]: row["choice"]
        for row in connection.execute(statement.where(ecw_conflict.c.choice.is_not(None))).mappings()
        if (row["crm_value"], row["emr_value"]) == (text(crm.get(row["column"])), text(emr.get(row["column"])))
    }


@dataclass(frozen=True, slots=True)
class Field:
    """One column of one record."""

    practice: str
    resource: str
    crm_id: str
    column: str


def choose(engine: Engine, conflict: Field, side: Side, by: str) -> bool:
    """Note a person's choice for an open conflict, and journal who chose; return False if it is not open."""
    key = asdict(conflict) | {"state": OPEN}
    with engine.begin() as connection:
        found = connection.execute(select(ecw_conflict).filter_by(**key)).mappings().one_or_none()
        if found is None:
            return False
        connection.execute(update(ecw_conflict).filter_by(**key).values(choice=side))
        names = (conflict.column,)
        chosen = Choice("conflict", by, found["choice"], side, conflict.crm_id, found["ecw_id"], names)
        decided(connection, conflict.practice, conflict.resource, chosen)
        return True


def open_ones(engine: Engine, practice: str) -> list[dict[str, Any]]:
    """Return the open conflicts of a practice: they wait for a person, or for a choice to be applied."""
    c = ecw_conflict.c
    statement = select(ecw_conflict).filter_by(practice=practice, state=OPEN)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(c.resource, c.crm_id, c.column)).mappings()
        return [dict(row) for row in rows]


def waiting(connection: Connection, practice: str, resource: str) -> dict[str, dict[str, str]]:
    """Return the columns that wait for a person, by CRM id, each with the CRM's value as JSON."""
    statement = select(ecw_conflict).filter_by(practice=practice, resource=resource, state=OPEN, choice=None)
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(statement).mappings():
        found.setdefault(row["crm_id"], {})[row["column"]] = row["crm_value"]
    return found


def text(value: Any) -> str:
    """Return a value as the JSON text that the table holds."""
    return orjson.dumps(value).decode()
