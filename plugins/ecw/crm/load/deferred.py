"""Rows that wait: an encounter whose patient is not here yet is loaded once the patient is linked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    exists,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    update,
)

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.engine import reading
from ecw.crm.db.enums import ConflictState, RejectState
from ecw.crm.db.tables import ecw_conflict, ecw_deferred_row, ecw_link, ecw_reject
from ecw.crm.db.upsert import insert
from ecw.crm.load.stage import SETTLED, Stage
from ecw.crm.load.write_links import deleted
from ecw.models import Run
from ecw.resources import RESOURCES

RULE = "deferred"


def ready(
    connection: Connection, stage: Stage, target: BusinessTable, practice: str, resource: str
) -> list[dict[str, Any]]:
    """Return the staged lines of a resource that need not wait any longer, as the mapping has them now."""
    p = ecw_deferred_row
    statement = select(p.c.line, p.c.read_at).where(
        p.c.practice == practice,
        p.c.resource == resource,
        _here(stage, practice, p.c.missing_resource, p.c.missing_id) if target.mapped.required_references else true(),
    )
    return [
        _today(orjson.loads(line), target) | {"read": read_at.isoformat() if read_at else None}
        for line, read_at in connection.execute(statement.order_by(p.c.ecw_id))
    ]


def required_ids(engine: Engine, practice: str, resource: str) -> list[str]:
    """Return the eCW ids that the next extraction of a resource must look at, whatever its strategy brings.

    They are those that others wait for, unless eCW showed them and they may not enter; and those for which a person
    has settled a conflict.
    """
    p, r, c = ecw_deferred_row, ecw_reject, ecw_conflict
    refused = exists().where(
        r.c.practice == practice, r.c.resource == resource, r.c.ecw_id == p.c.missing_id, r.c.state == RejectState.OPEN
    )
    missing = select(p.c.missing_id).where(
        p.c.practice == practice,
        p.c.missing_resource == resource,
        ~_linked(practice, p.c.missing_resource, p.c.missing_id),
        ~refused,
    )
    chosen = select(c.c.ecw_id).where(
        c.c.practice == practice, c.c.resource == resource, c.c.state == ConflictState.OPEN, c.c.choice.is_not(None)
    )
    with reading(engine) as connection:
        return sorted(set(connection.scalars(missing)) | set(connection.scalars(chosen)))


def defer(connection: Connection, stage: Stage, target: BusinessTable, run: Run) -> None:
    """Let the rows whose record is missing wait, and say so among the rejects."""
    s = stage.rows
    for name in sorted(target.mapped.required_references):
        held = stage.values[name]
        for known in RESOURCES.values():
            prefix = f"{known.fhir_type}/"
            missing = func.substr(held, len(prefix) + 1)
            here = _here(stage, run["practice"], literal(known.name), missing)
            connection.execute(
                update(s)
                .where(or_(s.c.fate.is_(None), s.c.fate.in_(["update", "same"])), held.startswith(prefix), ~here)
                .values(fate="deferred", counts_as="deferred", fields=name)
            )
    # After those that are there, so that the numbers stay different.
    beyond = connection.execute(select(func.coalesce(func.max(stage.rejects.c.seq), 0))).scalar_one()
    staged = select(
        s.c.seq + beyond + 1,
        s.c.ecw_id,
        literal("load"),
        literal(RULE),
        s.c.fields,
        s.c.fields + " means a record that is not here yet; it is looked for, and the row is loaded with it",
        s.c.hash,
        s.c.source_version,
        literal(stage.source) if stage.source else null(),
    ).where(s.c.fate == "deferred")
    connection.execute(stage.rejects.insert().from_select(list(stage.rejects.columns.keys()), staged))


def keep(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Write down the rows that wait; forget those that came in, or of which a version as new did, or that eCW has no
    more."""
    s, p = stage.rows, ecw_deferred_row
    mine = and_(p.c.practice == run["practice"], p.c.resource == resource)
    not_older = or_(
        s.c.source_version.is_(None),
        p.c.source_version.is_(None),
        s.c.source_version >= p.c.source_version,
        not_(stage.read.crosses(p.c.read_at)),
    )
    settled = exists().where(s.c.ecw_id == p.c.ecw_id, s.c.fate.in_(SETTLED), not_older)
    connection.execute(delete(p).where(mine, or_(settled, p.c.ecw_id.in_(deleted(stage)))))
    waiting = [
        _deferred_row(row._mapping, stage, target, run, resource)
        for row in connection.execute(select(s).where(s.c.fate == "deferred").order_by(s.c.seq))
    ]
    if not waiting:
        return
    statement = insert(connection, p)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(p.primary_key.columns),
            set_={name: new[name] for name in ("missing_resource", "missing_id", "source_version", "line", "read_at")},
            where=or_(
                new.source_version.is_(None),
                p.c.source_version.is_(None),
                new.source_version >= p.c.source_version,
                not_(stage.read.crosses(p.c.read_at)),
            ),
        ),
        waiting,
    )


def _today(line: dict[str, Any], target: BusinessTable) -> dict[str, Any]:
    """Return a line without the columns that the mapping has no more, should another version have made it.

    It has no hash then, so that its record is mapped again at the next look: columns may be new.
    """
    if line.get("mapping") == target.mapped.version:
        return line
    row = {name: value for name, value in line["row"].items() if name in target.columns}
    return line | {"row": row, "hash": ""}


def _deferred_row(row: Any, stage: Stage, target: BusinessTable, run: Run, resource: str) -> dict[str, Any]:
    fhir_type, _, missing_id = row[stage.values[row["fields"]].name].partition("/")
    version = row["source_version"]
    staged = dict.fromkeys(target.columns) | orjson.loads(row["agreed_emr"]) | {target.mapped.key: row["ecw_id"]}
    status = [row["status"], row["status_reason"]] if row["status"] else None
    line = {"ecw_id": row["ecw_id"], "hash": row["hash"], "status": status, "row": staged}
    line["mapping"] = target.mapped.version
    return {
        "practice": run["practice"],
        "resource": resource,
        "ecw_id": row["ecw_id"],
        "missing_resource": next(known.name for known in RESOURCES.values() if known.fhir_type == fhir_type),
        "missing_id": missing_id,
        "source_version": version,
        "line": orjson.dumps(line | {"version": version.isoformat() if version else None}).decode(),
        "deferred_run": run["run_id"],
        "read_at": stage.read.end or datetime.now(UTC),
    }


def _here(stage: Stage, practice: str, resource: ColumnElement[str], ecw_id: ColumnElement[str]) -> ColumnElement[bool]:
    linked, c = _linked(practice, resource, ecw_id), stage.coming
    return linked if c is None else or_(linked, exists().where(c.c.resource == resource, c.c.ecw_id == ecw_id))


def _linked(practice: str, resource: ColumnElement[str], ecw_id: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(ecw_link.c.practice == practice, ecw_link.c.resource == resource, ecw_link.c.ecw_id == ecw_id)
