"""The quarantine: which records may not enter, why, and since when; a reason that no longer holds is resolved."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, literal, null, or_, select, update

from ecw.crm.stage import Stage
from ecw.crm.tables import ecw_link, ecw_reject
from ecw.crm.upsert import insert
from ecw.words import Run

OPEN, RESOLVED = "open", "resolved"


def quarantine(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    """Open the batch's rejects and resolve those that it makes void, inside the load's transaction, after the merge.

    A reason is void when the record has been accepted since, or is refused now for other reasons. A version older than
    the one in question settles nothing, and a refused version older than the one in the CRM is resolved at once.
    """
    r, s = ecw_reject, stage.rows
    accepted = exists().where(
        s.c.ecw_id == r.c.ecw_id, s.c.fate.in_(["insert", "update", "same", "locked"]), _not_older(s.c.source_version)
    )
    _resolve(connection, run, resource, accepted)
    _open(connection, stage, run, resource)
    b = stage.rejects
    refused_again = exists().where(b.c.ecw_id == r.c.ecw_id, _not_older(b.c.source_version))
    for_this = exists().where(
        b.c.ecw_id == r.c.ecw_id, b.c.step == r.c.step, b.c.rule == r.c.rule, b.c.column == r.c.column
    )
    _resolve(connection, run, resource, and_(refused_again, ~for_this))


def _not_older(version: ColumnElement[Any]) -> ColumnElement[bool]:
    held = ecw_reject.c.source_version
    return or_(version.is_(None), held.is_(None), version >= held)


def _resolve(connection: Connection, run: Run, resource: str, void: ColumnElement[bool]) -> None:
    connection.execute(
        update(ecw_reject)
        .where(
            ecw_reject.c.practice == run["practice"],
            ecw_reject.c.resource == resource,
            ecw_reject.c.state == OPEN,
            void,
        )
        .values(state=RESOLVED, resolved_run=run["run_id"])
    )


def _open(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    b = stage.rejects
    key = (b.c.ecw_id, b.c.step, b.c.rule, b.c.column)
    last = select(func.max(b.c.seq)).group_by(*key)
    overtaken = exists().where(
        ecw_link.c.practice == run["practice"],
        ecw_link.c.resource == resource,
        ecw_link.c.ecw_id == b.c.ecw_id,
        ecw_link.c.source_version > b.c.source_version,
    )
    run_id = literal(run["run_id"])
    staged = select(
        literal(run["practice"]),
        literal(resource),
        *key,
        b.c.reason,
        b.c.hash,
        b.c.source_version,
        b.c.batch,
        case((overtaken, RESOLVED), else_=OPEN),
        run_id,
        run_id,
        case((overtaken, run_id), else_=null()),
    ).where(b.c.seq.in_(last))
    statement = insert(connection, ecw_reject).from_select(ecw_reject.columns.keys(), staged)
    renewed = ("reason", "hash", "source_version", "batch", "state", "last_run", "resolved_run")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ecw_reject.primary_key.columns),
            set_={name: statement.excluded[name] for name in renewed},
        )
    )
