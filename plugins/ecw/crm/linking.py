"""What the CRM knows of its rows' records in eCW: the links, what is agreed on them, and what became of them there."""

from __future__ import annotations

from sqlalchemy import Connection, Select, and_, case, cast, func, literal, not_, null, or_, select, true, update

from ecw.crm.business import STATUS, BusinessTable
from ecw.crm.stage import Stage
from ecw.crm.tables import ecw_agreed, ecw_link
from ecw.crm.upsert import insert
from ecw.words import Run

WRITTEN = ("insert", "update", "same")  # the fates of rows that the CRM has now as they were staged, merged
RENEWED = ("crm_id", "hash", "mapping_version", "source_version", "seen_run", "status", "status_reason")
GONE, VANISHED = "gone", "vanished"  # the rule of the reject, and what its record is then


def gone(stage: Stage) -> Select[str]:
    """Select the eCW ids of the staged records that eCW has no more."""
    return select(stage.rejects.c.ecw_id).where(stage.rejects.c.rule == GONE)


def write_links(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Write the links of the rows that are in the CRM now, and that the others were seen."""
    s, run_id = stage.rows, run["run_id"]
    staged = select(
        literal(run["practice"]),
        literal(resource),
        s.c.ecw_id,
        cast(s.c.crm_id, ecw_link.c.crm_id.type),
        case((s.c.unsettled, ""), else_=s.c.hash),
        literal(target.mapped.version),
        s.c.source_version,
        case((s.c.fate == "insert", run_id), else_=null()),
        case((s.c.fate == "update", run_id), else_=null()),
        literal(run_id),
        s.c.status,
        s.c.status_reason,
    ).where(s.c.fate.in_([*WRITTEN, "locked"]))
    statement = insert(connection, ecw_link).from_select(ecw_link.columns.keys(), staged)
    new = statement.excluded
    # The CRM's row was gone, and has been inserted again; or another one has been adopted.
    renewed = or_(new.inserted_run.is_not(None), new.crm_id != ecw_link.c.crm_id)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ecw_link.primary_key.columns),
            set_={name: new[name] for name in RENEWED}
            | {
                "inserted_run": case((renewed, new.inserted_run), else_=ecw_link.c.inserted_run),
                "updated_run": func.coalesce(new.updated_run, ecw_link.c.updated_run),
            },
        )
    )
    for seen, chosen in ((s, s.c.fate == "older"), (stage.rejects, true())):
        connection.execute(
            update(ecw_link)
            .where(
                ecw_link.c.practice == run["practice"],
                ecw_link.c.resource == resource,
                ecw_link.c.ecw_id == seen.c.ecw_id,
                chosen,
            )
            .values(seen_run=run_id)
        )


def tell_links(connection: Connection, stage: Stage, run: Run, resource: str, mapping_version: str) -> int:
    """Give the links of unchanged records their newer versions; return how many are no longer as the map step saw them.

    Those are older than what eCW has, and to be looked at again.
    """
    n, link = stage.newer, ecw_link
    older = and_(
        link.c.practice == run["practice"],
        link.c.resource == resource,
        link.c.ecw_id == n.c.ecw_id,
        or_(link.c.source_version.is_(None), link.c.source_version < n.c.source_version),
    )
    alike = and_(link.c.hash == n.c.hash, link.c.mapping_version == mapping_version)
    connection.execute(update(link).where(older, alike).values(source_version=n.c.source_version))
    return connection.execute(select(func.count()).select_from(n.join(link, older)).where(not_(alike))).scalar_one()


def write_agreed(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    """Write what is agreed on the rows, where it is not what was agreed before."""
    s, a = stage.rows, ecw_agreed
    staged = select(
        *(literal(run["practice"]), literal(resource), s.c.ecw_id),
        *(s.c.agreed_emr, s.c.agreed_crm, s.c.agreed_sent),
    ).where(s.c.fate.in_(WRITTEN))
    statement = insert(connection, a).from_select(a.columns.keys(), staged)
    new = {name: statement.excluded[name] for name in ("emr", "crm", "sent")}
    differs = or_(*(a.c[name].is_distinct_from(value) for name, value in new.items()))
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(a.primary_key.columns), set_=new, where=differs)
    )


def mark(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Mark the rows of records that are inactive, merged, deceased or vanished in eCW, with why; none is deleted.

    The mark stands on the link, and in the business table where that has a column for it.
    """
    s, b, link = stage.rows, stage.rejects, ecw_link
    gone = and_(
        link.c.practice == run["practice"],
        link.c.resource == resource,
        link.c.ecw_id.in_(select(b.c.ecw_id).where(b.c.rule == GONE)),
    )
    why = select(b.c.reason).where(b.c.rule == GONE, b.c.ecw_id == link.c.ecw_id).limit(1).scalar_subquery()
    # Without a hash it is looked at again, should it come back as it was.
    connection.execute(update(link).where(gone).values(status=VANISHED, status_reason=why, hash=""))
    column = target.table.columns.get(STATUS)
    if column is None or STATUS in target.columns:
        return
    said = s.c.status + ": " + s.c.status_reason
    connection.execute(
        update(target.table)
        .where(target.key == s.c.crm_id, s.c.fate.in_(WRITTEN), column.is_distinct_from(said))
        .values({column.name: said})
    )
    vanished = select(cast(link.c.crm_id, target.key.type)).where(gone)
    connection.execute(
        update(target.table)
        .where(target.key.in_(vanished), column.is_distinct_from(VANISHED))
        .values({column.name: VANISHED})
    )
