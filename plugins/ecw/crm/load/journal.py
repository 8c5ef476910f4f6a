"""Write a load's Integration Logs: a row for every record inserted, updated or marked. They hold no values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    String,
    Subquery,
    and_,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
)

from ecw.crm.db.business_table import STATUS
from ecw.crm.db.engine import reading
from ecw.crm.db.enums import Direction, JournalOutcome, StageAction
from ecw.crm.db.tables import UtcTime, ecw_journal, ecw_run
from ecw.crm.load import initial_sync
from ecw.crm.load.stage import Stage
from ecw.models import Run


def write_pulled(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    """Add a row for every record that the load has inserted or updated, in the load's transaction."""
    s = stage.rows
    inserted = s.c.action == StageAction.INSERT
    columns = _of_load(connection, run, resource) | {
        "operation": s.c.action,
        "crm_id": cast(s.c.crm_id, String),
        "ecw_id": s.c.ecw_id,
        "message": case((inserted, "Created in the CRM"), else_="Updated in the CRM"),
        "fields": s.c.fields,
        "initial_sync": initial_sync.is_initial(connection, stage, run, resource),
    }
    pulled = select(*columns.values()).where(s.c.action.in_([StageAction.INSERT, StageAction.UPDATE])).order_by(s.c.seq)
    connection.execute(insert(ecw_journal).from_select(list(columns), pulled))


def write_marked(connection: Connection, rows: Subquery, run: Run, resource: str) -> None:
    """Add an entry for every row that the load marks as deleted in eCW; `rows` has columns `ecw_id` and `crm_id`."""
    columns = _of_load(connection, run, resource) | {
        "operation": literal(StageAction.UPDATE, String),
        "crm_id": rows.c.crm_id,
        "ecw_id": rows.c.ecw_id,
        "message": literal("Marked in the CRM: eCW no longer has it"),
        "fields": literal(STATUS),
    }
    connection.execute(insert(ecw_journal).from_select(list(columns), select(*columns.values())))


def has_pulled(engine: Engine, run: Run, resource: str) -> bool:
    """Return True if a run has changed rows of a resource since it began."""
    j, r = ecw_journal.c, ecw_run.c
    of_run = (r.practice == run["practice"], r.run_id == run["run_id"], r.resource == resource)
    began = select(r.started_at).where(*of_run).scalar_subquery()  # there is an index on the time
    pulled = and_(j.run_id == run["run_id"], j.resource == resource, j.direction == Direction.PULL, j.at >= began)
    with reading(engine) as connection:
        return bool(connection.execute(select(exists().where(j.practice == run["practice"], pulled))).scalar())


def _of_load(connection: Connection, run: Run, resource: str) -> dict[str, ColumnElement[Any]]:
    return {
        "practice": literal(run["practice"]),
        "entry": _new_entry(connection),
        "at": literal(datetime.now(UTC), UtcTime),
        "run_id": literal(run["run_id"]),
        "direction": literal(Direction.PULL, String),
        "resource": literal(resource),
        "outcome": literal(JournalOutcome.DONE, String),
    }


def _new_entry(connection: Connection) -> ColumnElement[str]:
    if connection.dialect.name == "postgresql":
        return cast(func.gen_random_uuid(), String)
    return func.lower(func.hex(func.randomblob(16)))
