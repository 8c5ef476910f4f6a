"""Deferred rows: an encounter whose patient is not linked yet is kept, and loaded once the patient is linked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    String,
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
from ecw.crm.db.enums import ConflictState, CountsAs, RejectState, RejectStep, StageAction
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
    """Return the staged lines of the deferred rows that can be loaded now, with the columns of the current mapping."""
    p = ecw_deferred_row
    statement = select(p.c.line, p.c.read_at).where(
        p.c.practice == practice,
        p.c.resource == resource,
        _is_loaded(stage, practice, p.c.missing_resource, p.c.missing_id)
        if target.mapped.required_references
        else true(),
    )
    return [
        _with_current_columns(orjson.loads(line), target) | {"read": read_at.isoformat() if read_at else None}
        for line, read_at in connection.execute(statement.order_by(p.c.ecw_id))
    ]


def required_ids(engine: Engine, practice: str, resource: str) -> list[str]:
    """Return the eCW ids that the next extraction of a resource must fetch, whatever its strategy finds.

    They are the records that deferred rows wait for, except those that were fetched and rejected; and the records for
    which a person has chosen the winner of a conflict.
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
    """Defer the rows whose required record is not linked, and stage a reject for each."""
    s = stage.rows
    for name in sorted(target.mapped.required_references):
        reference = stage.values[name]
        for resource in RESOURCES.values():
            prefix = f"{resource.fhir_type}/"
            missing = func.substr(reference, len(prefix) + 1)
            is_loaded = _is_loaded(stage, run["practice"], literal(resource.name), missing)
            connection.execute(
                update(s)
                .where(
                    or_(s.c.action.is_(None), s.c.action.in_([StageAction.UPDATE, StageAction.SAME])),
                    reference.startswith(prefix),
                    ~is_loaded,
                )
                .values(action=StageAction.DEFERRED, counts_as=CountsAs.DEFERRED, fields=name)
            )
    # The numbers continue after those of the other rejects, because they are the primary key.
    last_seq = connection.execute(select(func.coalesce(func.max(stage.rejects.c.seq), 0))).scalar_one()
    staged = select(
        s.c.seq + last_seq + 1,
        s.c.ecw_id,
        literal(RejectStep.LOAD, String),
        literal(RULE),
        s.c.fields,
        s.c.fields
        + " refers to a record that is not loaded yet; the next run fetches that record and loads this row with it",
        s.c.hash,
        s.c.source_version,
        literal(stage.source) if stage.source else null(),
    ).where(s.c.action == StageAction.DEFERRED)
    connection.execute(stage.rejects.insert().from_select(list(stage.rejects.columns.keys()), staged))


def keep(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Save the deferred rows; delete those that are loaded now, in this version or a newer one, or deleted in eCW."""
    s, p = stage.rows, ecw_deferred_row
    of_resource = and_(p.c.practice == run["practice"], p.c.resource == resource)
    not_older = or_(
        s.c.source_version.is_(None),
        p.c.source_version.is_(None),
        s.c.source_version >= p.c.source_version,
        not_(stage.read.crosses(p.c.read_at)),
    )
    settled = exists().where(s.c.ecw_id == p.c.ecw_id, s.c.action.in_(SETTLED), not_older)
    connection.execute(delete(p).where(of_resource, or_(settled, p.c.ecw_id.in_(deleted(stage)))))
    waiting = [
        _deferred_row(row._mapping, stage, target, run, resource)
        for row in connection.execute(select(s).where(s.c.action == StageAction.DEFERRED).order_by(s.c.seq))
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


def _with_current_columns(line: dict[str, Any], target: BusinessTable) -> dict[str, Any]:
    """Return a line without the columns that the mapping no longer has, if another mapping version made it.

    Such a line loses its hash, so that the record is mapped again when it is next fetched: columns may be new.
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
        "missing_resource": next(each.name for each in RESOURCES.values() if each.fhir_type == fhir_type),
        "missing_id": missing_id,
        "source_version": version,
        "line": orjson.dumps(line | {"version": version.isoformat() if version else None}).decode(),
        "deferred_run": run["run_id"],
        "read_at": stage.read.end or datetime.now(UTC),
    }


def _is_loaded(
    stage: Stage, practice: str, resource: ColumnElement[str], ecw_id: ColumnElement[str]
) -> ColumnElement[bool]:
    linked, c = _linked(practice, resource, ecw_id), stage.coming
    return linked if c is None else or_(linked, exists().where(c.c.resource == resource, c.c.ecw_id == ecw_id))


def _linked(practice: str, resource: ColumnElement[str], ecw_id: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(ecw_link.c.practice == practice, ecw_link.c.resource == resource, ecw_link.c.ecw_id == ecw_id)
