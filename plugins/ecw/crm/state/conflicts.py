"""Columns that both sides changed: who won, or that a person must choose.  Pull and push record them alike.

The values stay in this table of the CRM's database: the one that lost can be looked up, nowhere else.
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
    """One record as a merge has left it: whose it is, the winner of each column that both sides changed, both rows."""

    practice: str
    resource: str
    crm_id: str
    ecw_id: str
    run_id: str
    conflicts: Mapping[str, Side | None]  # None: a person chooses
    crm: Row
    emr: Row


def record(connection: Connection, found: MergedRecord, *, done: bool = True) -> None:
    """Write down the conflicts of one merge, in the caller's transaction; an open one that is none any more is settled.

    A person's choice stays as long as both values do. Before the merge is `done`, eCW's value is kept, which is gone
    afterwards; what a person has chosen stays open: the choice would be lost if it came to nothing.
    """
    c = ecw_conflict.c
    whose = {"practice": found.practice, "resource": found.resource, "crm_id": found.crm_id}
    before = {row["column"]: row for row in connection.execute(select(ecw_conflict).filter_by(**whose)).mappings()}
    over = [name for name, row in before.items() if row["state"] == OPEN and name not in found.conflicts]
    if over and done:
        connection.execute(update(ecw_conflict).filter_by(**whose).where(c.column.in_(over)).values(state=SETTLED))
    for name, winner in found.conflicts.items():
        old = before.get(name)
        values = {"crm_value": text(found.crm.get(name)), "emr_value": text(found.emr.get(name))}
        same = old is not None and all(old[key] == value for key, value in values.items())
        if old and same and old["state"] == OPEN and old["choice"] and not done:
            continue
        upsert(
            connection,
            ecw_conflict,
            whose | {"column": name},
            values
            | {
                "ecw_id": found.ecw_id,
                "state": OPEN if winner is None else SETTLED,
                "winner": winner,
                "choice": old["choice"] if old and same else None,
                "first_run": old["first_run"] if old and same else found.run_id,
                "last_run": found.run_id,
            },
        )


def choices(connection: Connection, practice: str, resource: str, crm_id: str, crm: Row, emr: Row) -> dict[str, Side]:
    """Return a person's choices by column, those that were made for these very values."""
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
    """Note a person's choice for an open conflict; return False where it is not open.  The journal says who chose."""
    which = asdict(conflict) | {"state": OPEN}
    with engine.begin() as connection:
        found = connection.execute(select(ecw_conflict).filter_by(**which)).mappings().one_or_none()
        if found is None:
            return False
        connection.execute(update(ecw_conflict).filter_by(**which).values(choice=side))
        names = (conflict.column,)
        chosen = Choice("conflict", by, found["choice"], side, conflict.crm_id, found["ecw_id"], names)
        decided(connection, conflict.practice, conflict.resource, chosen)
        return True


def open_ones(engine: Engine, practice: str) -> list[dict[str, Any]]:
    """Return the conflicts of a practice that wait for a person, or for their choice to be done."""
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
    """Return a value as the table keeps it."""
    return orjson.dumps(value).decode()
