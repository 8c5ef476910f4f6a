"""From the staged rows to the business table and the links: a few statements over sets, in the load's transaction.

Every staged row gets a fate:

    duplicate  a newer copy of the record is staged too, or that eCW has it no more
    refused    it may be somebody else's than the CRM's row, or the patient that a push has just created
    deferred   a record that it cannot do without is not here yet
    insert     the CRM has no such record
    update     it has, and a column of it changes, or its mark does
    same       it has, and no column of it changes
    locked     it has, and a column would change, but the row takes no updates
    stale      the CRM's row was made from a newer version, and eCW may have given the two in another order

and a word that it counts as. That word looks at the whole run, so that a run which is cleared and does its work again
still says what it did: a record that it inserted the first time counts as inserted the second time.
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
from ecw.crm.db.tables import ecw_link, ecw_reject
from ecw.crm.load import deferred, journal
from ecw.crm.load.match_unconfirmed import adopt_created
from ecw.crm.load.references import resolve
from ecw.crm.load.stage import REFUSED, Stage, differs, refuse
from ecw.crm.load.three_way import MergeCounts, merge_differing
from ecw.crm.load.write_links import deleted, mark_deleted, write_agreed, write_links
from ecw.crm.load.writing.keys import give_back_keys, give_keys
from ecw.crm.load.writing.rewritten import agree_on_what_is_held
from ecw.crm.load.writing.rows import mark, write_rows
from ecw.crm.state import edit_times, practices
from ecw.models import Mode, Run

GROWN = 1_000  # lines in a batch
ANOTHERS, UNASSIGNED = "another practice's row", "row without practice"  # rules of rejects
_THEIRS = (
    "the CRM's row that is linked to it names another practice; next: correct the row's {column}, or take its link "
    "away; the next pull loads the record."
)
_WHOSE = (
    "a row of the CRM that does not say whose it is holds this eCW id, and practice {other} uses the table, too; next: "
    "{fill}; the next pull loads the record."
)


@dataclass(frozen=True, slots=True)
class Merged:
    """How many staged rows count as inserted, updated, unchanged and deferred, and how many are stale.

    Also what the three-way merge counted, in how many rows the table holds another value than was written, by column,
    and the eCW ids of those that were stale in an earlier run, too.
    """

    counts: dict[str, int]
    stale: int
    merge_counts: MergeCounts
    rewritten: dict[str, int]
    still_stale: list[str]


def merge(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> Merged:
    """Merge the staged rows into the business table, the links and the agreements; write the journal.

    A row of the CRM that holds the eCW id and has no link yet is adopted, not doubled; so is one that a push has sent
    without hearing what happened to it.
    """
    whose = edit_times.Whose(run["practice"], resource)
    own = practices.rows(connection, run["practice"], resource, target)
    edit_times.begin_own_writes(connection)
    _set_duplicates_aside(connection, stage)
    _follow_links(connection, stage, target, run, resource)
    _leave_to_others(connection, stage, own)
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
    _take_stock(connection, stage, target)
    _name_the_practice(connection, own, whose)
    deferred.keep(connection, stage, target, run, resource)
    journal.write_pulled(connection, stage, run, resource)
    resolve(connection, target, whose)
    edit_times.settle(connection, target, whose)
    s = stage.rows
    counts = {"inserted": 0, "updated": 0, "unchanged": 0, "deferred": 0, REFUSED: 0}
    stale = 0
    for word, fate, count in connection.execute(
        select(s.c.counts_as, s.c.fate, func.count()).group_by("counts_as", "fate")
    ):
        counts[word] += count
        stale += count if fate == "stale" else 0
    return Merged(counts, stale, merge_counts, rewritten, still_stale)


def _count(connection: Connection, stage: Stage) -> None:
    """Give every row that has none yet the word that it counts as."""
    s = stage.rows
    word = case((s.c.fate == "update", "updated"), else_="unchanged")
    connection.execute(update(s).where(s.c.counts_as.is_(None)).values(counts_as=word))


def _take_stock(connection: Connection, stage: Stage, target: BusinessTable) -> None:
    """Let PostgreSQL see that its tables have grown: its plans for what follows were made for the empty ones.

    By itself it looks a minute after the commit. A table of the CRM's own that we may not analyse gives a warning.
    """
    if connection.dialect.name == "postgresql" and stage.lines >= GROWN:
        quoted = connection.dialect.identifier_preparer
        table = quoted.format_table(target.table)
        own = ", ".join(quoted.quote(name) for name in (target.key.name, target.mapped.key))
        keys = "practice, resource, ecw_id"
        # Of what statements join by: to look at all columns takes longer than to write them.
        named = f"{table} ({own})".replace("%", "%%")
        connection.exec_driver_sql(f"ANALYZE ecw_link ({keys}, crm_id), ecw_merge_base ({keys}), {named}")


def _set_duplicates_aside(connection: Connection, stage: Stage) -> None:
    s = stage.rows
    newest_first = (s.c.read_earlier, s.c.source_version.desc().nulls_last(), s.c.seq.desc())
    rank = func.row_number().over(partition_by=s.c.ecw_id, order_by=newest_first).label("rank")
    ranked = select(s.c.seq, rank).subquery()
    connection.execute(
        update(s)
        .where(or_(s.c.seq.in_(select(ranked.c.seq).where(ranked.c.rank > 1)), s.c.ecw_id.in_(deleted(stage))))
        .values(fate="duplicate", counts_as="unchanged")
    )


def _follow_links(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Find the rows that the CRM has by link. One whose CRM row is gone stays without a fate: it is inserted again."""
    s, t = stage.rows, target.table
    # A row that has waited was read before; only its version says when.
    crosses = or_(s.c.seq <= stage.deferred_loaded, stage.read.crosses(ecw_link.c.read_at))
    stale = and_(s.c.source_version.is_not(None), s.c.source_version < ecw_link.c.source_version, crosses)
    if run["mode"] == Mode.REPLAY:  # its records were read when they were refused
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
            s.c.fate.is_(None),
            ecw_link.c.practice == run["practice"],
            ecw_link.c.resource == resource,
            ecw_link.c.ecw_id == s.c.ecw_id,
            target.key == cast(ecw_link.c.crm_id, target.key.type),
        )
        .values(
            crm_id=t.columns[target.key.name],
            fate=case((stale, "stale"), (differing, "update"), else_="same"),
            counts_as=case(
                (ecw_link.c.inserted_run == run["run_id"], "inserted"),
                (ecw_link.c.updated_run == run["run_id"], "updated"),
            ),
        )
    )


def _leave_to_others(connection: Connection, stage: Stage, own: practices.Rows) -> None:
    """Refuse the records whose linked row says that it is another practice's."""
    s, target = stage.rows, own.target
    if target.practice is None:
        return
    linked = select(s.c.seq).join(target.table, target.key == s.c.crm_id).where(s.c.fate.is_not(None), own.theirs)
    reason = _THEIRS.format(column=target.practice.name)
    refuse(connection, stage, dict.fromkeys(connection.scalars(linked), reason), ANOTHERS)


def _adopt(connection: Connection, stage: Stage, own: practices.Rows, resource: str) -> None:
    """Find the practice's rows by the eCW id that somebody wrote into them, and that no link claims.

    Two practices may have the same eCW id: a row that could be either's is adopted by none, nor doubled.
    """
    target = own.target
    s, held = stage.rows, target.columns[target.mapped.key]
    claimed = select(ecw_link.c.crm_id).where(
        ecw_link.c.resource == resource, ecw_link.c.crm_id == cast(target.key, ecw_link.c.crm_id.type)
    )
    # The smallest as text: PostgreSQL before 18 knows no smallest UUID.
    smallest = cast(func.min(cast(target.key, ecw_link.c.crm_id.type)), target.key.type)
    free = (
        select(held.label("ecw_id"), smallest.label("crm_id"))
        .where(held.in_(select(s.c.ecw_id).where(s.c.fate.is_(None))), ~claimed.exists(), own.mine)
        .group_by(held)
        .subquery()
    )
    differing = differs(stage, target)
    connection.execute(
        update(s)
        .where(s.c.fate.is_(None), s.c.ecw_id == free.c.ecw_id, target.key == free.c.crm_id)
        .values(crm_id=free.c.crm_id, fate=case((differing, "update"), else_="same"), adopted=True)
    )
    if own.other is None:
        return
    anybodys = select(s.c.seq).join(target.table, held == s.c.ecw_id)
    anybodys = anybodys.where(s.c.fate.is_(None), ~claimed.exists(), own.unassigned).distinct()
    fill = "give the table a column for the practice, as docs/how-to/many-practices.md says"
    if target.practice is not None:
        fill = f"fill its {target.practice.name}; `ecw practice rows` lists such rows"
    reason = _WHOSE.format(other=own.other, fill=fill)
    refuse(connection, stage, dict.fromkeys(connection.scalars(anybodys), reason), UNASSIGNED)


def _name_the_practice(connection: Connection, own: practices.Rows, whose: edit_times.Whose) -> None:
    """Write the practice into its linked rows that name none."""
    statement = practices.label(own, whose.resource)
    if statement is not None:
        edit_times.write(connection, own.target, whose, statement)
