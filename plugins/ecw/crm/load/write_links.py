"""Write the links, the merge bases, and the marks of records that are deleted in eCW."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)

from ecw.crm.db.business_table import STATUS, BusinessTable
from ecw.crm.db.enums import DELETED, LinkStatus, StageAction
from ecw.crm.db.tables import UtcTime, ecw_link, ecw_merge_base
from ecw.crm.db.upsert import insert
from ecw.crm.load import journal
from ecw.crm.load.stage import Stage
from ecw.crm.state import edit_times
from ecw.models import Run

# Actions after which the CRM's row is the merged staged row.
WRITTEN = (StageAction.INSERT, StageAction.UPDATE, StageAction.SAME)
RENEWED = (
    *("crm_id", "hash", "mapping_version", "source_version", "last_seen_run", "status", "status_reason"),
    *("read_at", "stale_run"),
)


def deleted(stage: Stage) -> Select[str]:
    """Select the eCW ids of the staged records that are deleted in eCW."""
    return select(stage.rejects.c.ecw_id).where(stage.rejects.c.rule == DELETED)


def write_links(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> list[str]:
    """Write the links of the rows that are in the CRM now; note for the rejected records that the run fetched them.

    Return the eCW ids of the stale records that were stale in an earlier run, too.
    """
    _upsert_links(connection, stage, target, run, resource)
    of_resource = and_(ecw_link.c.practice == run["practice"], ecw_link.c.resource == resource)
    refused = ecw_link.c.ecw_id == stage.rejects.c.ecw_id
    connection.execute(update(ecw_link).where(of_resource, refused).values(last_seen_run=run["run_id"]))
    return _mark_stale(connection, stage, of_resource, run["run_id"])


def _upsert_links(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    s, run_id = stage.rows, run["run_id"]
    read_at = literal(stage.read.end or datetime.now(UTC), UtcTime)
    staged = select(
        literal(run["practice"]),
        literal(resource),
        s.c.ecw_id,
        cast(s.c.crm_id, ecw_link.c.crm_id.type),
        case((s.c.unsettled, ""), else_=s.c.hash),
        literal(target.mapped.version),
        s.c.source_version,
        read_at,
        null(),
        case((s.c.action == StageAction.INSERT, run_id), else_=null()),
        case((s.c.action == StageAction.UPDATE, run_id), else_=null()),
        literal(run_id),
        s.c.status,
        s.c.status_reason,
        null(),
    ).where(s.c.action.in_([*WRITTEN, StageAction.LOCKED]))
    statement = insert(connection, ecw_link).from_select(ecw_link.columns.keys(), staged)
    new = statement.excluded
    # The CRM's row was deleted, and is inserted again; or another row is adopted.
    renewed = or_(new.inserted_run.is_not(None), new.crm_id != ecw_link.c.crm_id)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ecw_link.primary_key.columns),
            set_={name: new[name] for name in RENEWED}
            | {
                "inserted_run": case((renewed, new.inserted_run), else_=ecw_link.c.inserted_run),
                "updated_run": func.coalesce(new.updated_run, ecw_link.c.updated_run),
                "identity": case((renewed, null()), else_=ecw_link.c.identity),
            },
        )
    )


def _mark_stale(connection: Connection, stage: Stage, of_resource: ColumnElement[bool], run_id: str) -> list[str]:
    """Note the stale records; return the eCW ids of those that were stale in an earlier run, too."""
    s = stage.rows
    older = and_(of_resource, ecw_link.c.ecw_id == s.c.ecw_id, s.c.action == StageAction.STALE)
    if not connection.execute(select(exists().where(s.c.action == StageAction.STALE))).scalar():
        return []
    still = select(ecw_link.c.ecw_id).where(older, ecw_link.c.stale_run != run_id).order_by(ecw_link.c.ecw_id)
    still_stale = list(connection.scalars(still.distinct()))
    connection.execute(
        update(ecw_link)
        .where(older)
        .values(last_seen_run=run_id, stale_run=func.coalesce(ecw_link.c.stale_run, run_id))
    )
    return still_stale


def update_unchanged_links(connection: Connection, stage: Stage, run: Run, resource: str, mapping_version: str) -> int:
    """Give the links of unchanged records their newer versions; return how many links changed since the map step.

    The rows of changed links are older than eCW's records, so the records must be fetched again.
    """
    n, link = stage.newer, ecw_link
    older = and_(
        link.c.practice == run["practice"],
        link.c.resource == resource,
        link.c.ecw_id == n.c.ecw_id,
        or_(link.c.source_version.is_(None), link.c.source_version < n.c.source_version),
    )
    as_mapped = and_(link.c.hash == n.c.hash, link.c.mapping_version == mapping_version)
    read_at = stage.read.end or datetime.now(UTC)
    values = {"source_version": n.c.source_version, "read_at": read_at, "stale_run": None}
    connection.execute(update(link).where(older, as_mapped).values(values))
    return connection.execute(select(func.count()).select_from(n.join(link, older)).where(not_(as_mapped))).scalar_one()


def write_agreed(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    """Write the merge bases of the rows, if they differ from the stored ones."""
    s, a = stage.rows, ecw_merge_base
    staged = select(
        *(literal(run["practice"]), literal(resource), s.c.ecw_id),
        *(s.c.agreed_emr, s.c.agreed_crm, s.c.agreed_sent),
    ).where(s.c.action.in_(WRITTEN))
    statement = insert(connection, a).from_select(a.columns.keys(), staged)
    new = {name: statement.excluded[name] for name in ("emr", "crm", "sent")}
    differs = or_(*(a.c[name].is_distinct_from(value) for name, value in new.items()))
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(a.primary_key.columns), set_=new, where=differs)
    )


def mark_deleted(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Mark the links of records that are deleted in eCW, and their rows if the table has a status column.

    No row is deleted. The journal entries are written here, because these records are rejects without a staged row.
    """
    b, link = stage.rejects, ecw_link
    deleted_links = and_(
        link.c.practice == run["practice"], link.c.resource == resource, link.c.ecw_id.in_(deleted(stage))
    )
    reason = select(b.c.reason).where(b.c.rule == DELETED, b.c.ecw_id == link.c.ecw_id).limit(1).scalar_subquery()
    # Without a hash the record is mapped again if it returns unchanged; without a version any version is accepted then.
    cleared = {"hash": "", "source_version": None, "stale_run": None}
    connection.execute(
        update(link).where(deleted_links).values(status=LinkStatus.DELETED, status_reason=reason, **cleared)
    )
    column = status_column(target)
    if column is None:
        return
    crm_id, differs = cast(link.c.crm_id, target.key.type), column.is_distinct_from(LinkStatus.DELETED)
    of_rows = (
        select(link.c.ecw_id, link.c.crm_id).join(target.table, target.key == crm_id).where(deleted_links, differs)
    )
    journal.write_marked(connection, of_rows.subquery(), run, resource)
    marked = update(target.table).where(target.key.in_(select(crm_id).where(deleted_links)), differs)
    whose = edit_times.Whose(run["practice"], resource)
    edit_times.write(connection, target, whose, marked.values({column.name: LinkStatus.DELETED}))


def status_column(target: BusinessTable) -> Column[Any] | None:
    """Return the status column; None if the table has none, or the mapping fills it."""
    return None if STATUS in target.columns else target.table.columns.get(STATUS)
