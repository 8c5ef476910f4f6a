"""Merge the staged rows into the business table and the links: a few set-based statements, in the load's transaction.

Every staged row gets an action:

    duplicate  a newer copy of the record, or its deletion, is staged too
    refused    the load rejects it: it may be another person or another practice's row, or a patient just created by
               a push
    deferred   a record that the row requires is not loaded yet
    insert     the CRM has no row for it
    update     the CRM has a row, and a column or the status mark changes
    same       the CRM has a row, and no column changes
    locked     the CRM has a row, and a column would change, but the row takes no updates
    stale      the CRM's row was made from a newer version, and eCW may have answered the two requests in another order

and `counts_as`: the number of the run that it adds to. It covers the whole run. If a run is cleared and repeats its
work, a record that it inserted the first time counts as inserted the second time, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.enums import CountsAs, StageAction
from ecw.crm.db.tables import ecw_link, ecw_reject
from ecw.crm.load import deferred, journal
from ecw.crm.load.match_unconfirmed import adopt_created
from ecw.crm.load.references import resolve
from ecw.crm.load.stage import Stage, differs, refuse
from ecw.crm.load.three_way import MergeCounts, merge_differing
from ecw.crm.load.write_links import deleted, mark_deleted, write_agreed, write_links
from ecw.crm.load.writing.keys import give_back_keys, give_keys
from ecw.crm.load.writing.rewritten import agree_on_what_is_held
from ecw.crm.load.writing.rows import mark, write_rows
from ecw.crm.state import edit_times, practices
from ecw.models import Mode, Run

LARGE_BATCH = 1_000  # lines
ANOTHERS, UNASSIGNED = "another practice's row", "row without practice"  # rules of rejects
_ANOTHERS_REASON = (
    "the CRM's row that is linked to it names another practice; next: correct the row's {column}, or remove its link; "
    "the next pull loads the record."
)
_UNASSIGNED_REASON = (
    "a row of the CRM that names no practice holds this eCW id, and practice {other} uses the table, too; next: "
    "{fill}; the next pull loads the record."
)


@dataclass(frozen=True, slots=True)
class Merged:
    """How many staged rows count as inserted, updated, unchanged, deferred and refused, and how many are stale.

    `merge_counts` are those of the three-way merge. `rewritten` says, by column, in how many rows the table holds
    another value than was written. `still_stale` are the eCW ids that were stale in an earlier run, too.
    """

    counts: dict[CountsAs, int]
    stale: int
    merge_counts: MergeCounts
    rewritten: dict[str, int]
    still_stale: list[str]


def merge(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> Merged:
    """Merge the staged rows into the business table, the links and the merge bases; write the journal.

    A row of the CRM that holds the eCW id and has no link yet is adopted instead of inserted again; so is a row that a
    push sent without getting an answer.
    """
    whose = edit_times.Whose(run["practice"], resource)
    own = practices.rows(connection, run["practice"], resource, target)
    edit_times.begin_own_writes(connection)
    _mark_duplicates(connection, stage)
    _follow_links(connection, stage, target, run, resource)
    _refuse_rows_of_others(connection, stage, own)
    _adopt(connection, stage, own, resource)
    adopt_created(connection, stage, own, run, resource)
    deferred.defer(connection, stage, target, run)
    merge_counts = merge_differing(connection, stage, target, run, resource)
    give_back_keys(connection, stage, target, run, resource)
    give_keys(connection, stage, target, resource)
    write_rows(connection, stage, own, whose)
    rewritten = agree_on_what_is_held(connection, stage, target)
    mark(connection, stage, target, whose)
    _count(connection, stage)
    still_stale = write_links(connection, stage, target, run, resource)
    write_agreed(connection, stage, run, resource)
    mark_deleted(connection, stage, target, run, resource)
    _analyze(connection, stage, target)
    _name_the_practice(connection, own, whose)
    deferred.keep(connection, stage, target, run, resource)
    journal.write_pulled(connection, stage, run, resource)
    resolve(connection, target, whose)
    edit_times.settle(connection, target, whose)
    s = stage.rows
    counts = dict.fromkeys(CountsAs, 0)
    stale = 0
    for counts_as, action, count in connection.execute(
        select(s.c.counts_as, s.c.action, func.count()).group_by("counts_as", "action")
    ):
        counts[counts_as] += count
        stale += count if action == StageAction.STALE else 0
    return Merged(counts, stale, merge_counts, rewritten, still_stale)


def _count(connection: Connection, stage: Stage) -> None:
    """Set `counts_as` for every row that has none yet."""
    s = stage.rows
    counts_as = case((s.c.action == StageAction.UPDATE, CountsAs.UPDATED), else_=CountsAs.UNCHANGED)
    connection.execute(update(s).where(s.c.counts_as.is_(None)).values(counts_as=counts_as))


def _analyze(connection: Connection, stage: Stage, target: BusinessTable) -> None:
    """Analyze the tables on PostgreSQL after a large batch: else the next statements are planned for empty tables.

    Autovacuum would do so only a minute after the commit. If the user may not analyze the CRM's table, PostgreSQL
    warns, and continues.
    """
    if connection.dialect.name == "postgresql" and stage.lines >= LARGE_BATCH:
        quoted = connection.dialect.identifier_preparer
        table = quoted.format_table(target.table)
        joined_by = ", ".join(quoted.quote(name) for name in (target.key.name, target.mapped.key))
        keys = "practice, resource, ecw_id"
        # Only the columns that statements join by: to analyze all takes longer than to write them.
        business_table = f"{table} ({joined_by})".replace("%", "%%")
        connection.exec_driver_sql(f"ANALYZE ecw_link ({keys}, crm_id), ecw_merge_base ({keys}), {business_table}")


def _mark_duplicates(connection: Connection, stage: Stage) -> None:
    s = stage.rows
    newest_first = (s.c.read_earlier, s.c.source_version.desc().nulls_last(), s.c.seq.desc())
    rank = func.row_number().over(partition_by=s.c.ecw_id, order_by=newest_first).label("rank")
    ranked = select(s.c.seq, rank).subquery()
    connection.execute(
        update(s)
        .where(or_(s.c.seq.in_(select(ranked.c.seq).where(ranked.c.rank > 1)), s.c.ecw_id.in_(deleted(stage))))
        .values(action=StageAction.DUPLICATE, counts_as=CountsAs.UNCHANGED)
    )


def _follow_links(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Find the CRM's rows by link. A record whose CRM row is gone gets no action here: it is inserted again."""
    s, t = stage.rows, target.table
    # A deferred row was read in an earlier run; only its version tells how old it is.
    crosses = or_(s.c.seq <= stage.deferred_loaded, stage.read.crosses(ecw_link.c.read_at))
    stale = and_(s.c.source_version.is_not(None), s.c.source_version < ecw_link.c.source_version, crosses)
    if run["mode"] == Mode.REPLAY:  # its records were read when they were rejected
        refused = exists().where(
            ecw_reject.c.practice == run["practice"],
            ecw_reject.c.resource == resource,
            ecw_reject.c.ecw_id == s.c.ecw_id,
            ecw_reject.c.read_at < ecw_link.c.read_at,
        )
        unknown = or_(s.c.source_version.is_(None), ecw_link.c.source_version.is_(None))
        stale = or_(stale, and_(unknown, refused))
    differing = differs(stage, target)
    connection.execute(
        update(s)
        .where(
            s.c.action.is_(None),
            ecw_link.c.practice == run["practice"],
            ecw_link.c.resource == resource,
            ecw_link.c.ecw_id == s.c.ecw_id,
            target.key == cast(ecw_link.c.crm_id, target.key.type),
        )
        .values(
            crm_id=t.columns[target.key.name],
            action=case((stale, StageAction.STALE), (differing, StageAction.UPDATE), else_=StageAction.SAME),
            counts_as=case(
                (ecw_link.c.inserted_run == run["run_id"], CountsAs.INSERTED),
                (ecw_link.c.updated_run == run["run_id"], CountsAs.UPDATED),
            ),
        )
    )


def _refuse_rows_of_others(connection: Connection, stage: Stage, own: practices.Rows) -> None:
    """Refuse the records whose linked row names another practice."""
    s, target = stage.rows, own.target
    if target.practice is None:
        return
    linked = select(s.c.seq).join(target.table, target.key == s.c.crm_id).where(s.c.action.is_not(None), own.theirs)
    reason = _ANOTHERS_REASON.format(column=target.practice.name)
    refuse(connection, stage, dict.fromkeys(connection.scalars(linked), reason), ANOTHERS)


def _adopt(connection: Connection, stage: Stage, own: practices.Rows, resource: str) -> None:
    """Find the practice's rows that have no link, by the eCW id that somebody wrote into them.

    Two practices may have the same eCW id. A row that could belong to either is not adopted, and its record is refused
    instead of inserted again.
    """
    target = own.target
    s, ecw_id = stage.rows, target.columns[target.mapped.key]
    claimed = select(ecw_link.c.crm_id).where(
        ecw_link.c.resource == resource, ecw_link.c.crm_id == cast(target.key, ecw_link.c.crm_id.type)
    )
    # The smallest as text: PostgreSQL before 18 has no min() of UUIDs.
    smallest = cast(func.min(cast(target.key, ecw_link.c.crm_id.type)), target.key.type)
    free = (
        select(ecw_id.label("ecw_id"), smallest.label("crm_id"))
        .where(ecw_id.in_(select(s.c.ecw_id).where(s.c.action.is_(None))), ~claimed.exists(), own.mine)
        .group_by(ecw_id)
        .subquery()
    )
    differing = differs(stage, target)
    connection.execute(
        update(s)
        .where(s.c.action.is_(None), s.c.ecw_id == free.c.ecw_id, target.key == free.c.crm_id)
        .values(
            crm_id=free.c.crm_id, action=case((differing, StageAction.UPDATE), else_=StageAction.SAME), adopted=True
        )
    )
    if own.other is None:
        return
    unassigned = select(s.c.seq).join(target.table, ecw_id == s.c.ecw_id)
    unassigned = unassigned.where(s.c.action.is_(None), ~claimed.exists(), own.unassigned).distinct()
    fill = "give the table a column for the practice, as docs/how-to/many-practices.md says"
    if target.practice is not None:
        fill = f"fill its {target.practice.name}; `ecw practice rows` lists such rows"
    reason = _UNASSIGNED_REASON.format(other=own.other, fill=fill)
    refuse(connection, stage, dict.fromkeys(connection.scalars(unassigned), reason), UNASSIGNED)


def _name_the_practice(connection: Connection, own: practices.Rows, whose: edit_times.Whose) -> None:
    """Write the practice into its linked rows that name no practice."""
    statement = practices.label(own, whose.resource)
    if statement is not None:
        edit_times.write(connection, own.target, whose, statement)
