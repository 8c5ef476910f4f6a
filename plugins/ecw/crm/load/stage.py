"""Temporary tables that hold a batch inside the database, so that the load itself is a few statements over sets.

They are filled before the load's transaction begins: on SQLite a temporary table is a file of its own, so that nobody
waits for the write lock while a million lines are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.schema import CreateTable, DropTable

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.tables import UtcTime
from ecw.models import Batch

REJECT = ("seq", "ecw_id", "step", "rule", "column", "reason", "hash", "source_version", "batch")
CHUNK = 5_000  # lines in memory at a time
REFUSED = "refused"  # the fate of a row that the load itself sets aside
SETTLED = ("insert", "update", "same", "locked", "stale")  # fates after which the CRM has this version, or a newer one


@dataclass(frozen=True, slots=True)
class Read:
    """From when to when eCW was asked for a batch's records; None: that is not known.  `always`: its answer holds."""

    start: datetime | None = None
    end: datetime | None = None
    always: bool = False

    @classmethod
    def of(cls, batch: Batch) -> Self:
        start, end = (batch.get(name) for name in ("read_from", "read_until"))
        return cls(
            datetime.fromisoformat(start) if isinstance(start, str) else None,
            datetime.fromisoformat(end) if isinstance(end, str) else None,
            batch.get("always", False),
        )

    def crosses(self, read_at: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether versions decide between this batch's answer and one that was given by `read_at`.

        What eCW answers now is the truth, also where its version is older: a record was restored, say, or its version
        once was too late.  Only of answers that may have crossed each other the versions say which is the later one.
        """
        if self.always:
            return false()
        if self.start is None:
            return true()
        return func.coalesce(read_at > literal(self.start, UtcTime), true())


@dataclass(slots=True)
class Stage:
    """The temporary tables of one load, and what was counted while they were filled.

    `values` names, for each business column, the column of `rows` that holds its value. `fingerprint` is the same for
    the same batch under the same mapping. `source` is the staged file that still holds the records.
    """

    rows: Table
    rejects: Table
    newer: Table
    values: dict[str, Column[Any]]
    lines: int = 0
    unfit: int = 0
    deferred_loaded: int = 0
    fingerprint: str = ""
    source: str | None = None
    coming: Table | None = None
    read: Read = Read()


def _temporary(name: str, *columns: Column[Any]) -> Table:
    """Return a temporary table with an index on `ecw_id`, which its caller creates when the table is full."""
    table = Table(name, MetaData(), *columns, prefixes=["TEMPORARY"])
    Index(f"{name}_ecw_id", table.c.ecw_id)
    return table


REJECTS = _temporary(
    "ecw_stage_reject",
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("ecw_id", String(128)),
    Column("step", String(16)),
    Column("rule", String(128)),
    Column("column", String(128)),
    Column("reason", Text),
    Column("hash", String(128)),
    Column("source_version", UtcTime),
    Column("batch", Text),
)
NEWER = _temporary(
    "ecw_stage_newer",
    Column("ecw_id", String(128)),
    Column("source_version", UtcTime),
    Column("hash", String(128)),
)
COMING = _temporary("ecw_stage_coming", Column("resource", String(64)), Column("ecw_id", String(128)))
# For a business table and its columns: SQLAlchemy finds the SQL that it has compiled by the tables' objects.
_rows: WeakKeyDictionary[Table, dict[tuple[str, ...], Table]] = WeakKeyDictionary()


def open_stage(connection: Connection, target: BusinessTable, source: str | None = None) -> Stage:
    """Create the temporary tables on this connection."""
    of_table, names = _rows.setdefault(target.table, {}), tuple(target.columns)
    if names not in of_table:
        of_table[names] = _rows_of(target)
    rows = of_table[names]
    for table in (rows, REJECTS, NEWER):
        # The statement alone: Table.create() would also create the types of PostgreSQL's enumerations again.
        connection.execute(CreateTable(table))
    values = {name: rows.columns[f"v{number}"] for number, name in enumerate(names)}
    return Stage(rows, REJECTS, NEWER, values, source=source)


def _rows_of(target: BusinessTable) -> Table:
    return _temporary(
        "ecw_stage_row",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("ecw_id", String(128)),
        Column("source_version", UtcTime),
        Column("hash", String(128)),
        Column("crm_id", target.key.type),
        Column("fate", String(16)),  # duplicate, insert, update, same, stale, deferred, locked
        Column("counts_as", String(16)),  # inserted, updated, unchanged, deferred
        Column("status", String(16)),
        Column("status_reason", Text),
        # What is agreed once the row is written: see ecw_merge_base.
        Column("agreed_emr", Text),
        Column("agreed_crm", Text),
        Column("agreed_sent", Text),
        Column("fields", Text),  # names of the columns that change
        Column("adopted", Boolean),  # no link had the CRM's row: true: its eCW id is typed; false: a push created it
        Column("read_earlier", Boolean),  # it has waited, and was read before the batch's records were
        Column("unsettled", Boolean),  # the next run must look at the record again, although it is the same
        *(Column(f"v{number}", column.type) for number, column in enumerate(target.columns.values())),
    )


def drop_stage(connection: Connection) -> None:
    """Drop the temporary tables, where there are any: the connection goes back to the pool."""
    for name in ("ecw_stage_row", REJECTS.name, NEWER.name, COMING.name):
        connection.execute(DropTable(Table(name, MetaData()), if_exists=True))


def refuse(connection: Connection, stage: Stage, found: Mapping[int, str], rule: str, column: str = "") -> None:
    """Set rows aside in the load: they are rejects by this rule; `found` has the reasons, by the rows' numbers."""
    s, b = stage.rows, stage.rejects
    for seq, reason in sorted(found.items()):
        number = select(func.coalesce(func.max(b.c.seq), 0) + 1).scalar_subquery()
        batch = literal(stage.source) if stage.source else null()
        said = (literal("load"), literal(rule), literal(column), literal(reason))
        lines = select(number, s.c.ecw_id, *said, s.c.hash, s.c.source_version, batch).where(s.c.seq == seq)
        connection.execute(b.insert().from_select(list(REJECT), lines))
        connection.execute(update(s).where(s.c.seq == seq).values(fate=REFUSED, counts_as=REFUSED, fields=None))


def differs(stage: Stage, target: BusinessTable) -> ColumnElement[bool]:
    """Return whether a row of the CRM's table holds another value than the staged one, in any column."""
    pairs = [(_exact(target.columns[name]), _exact(staged)) for name, staged in stage.values.items()]
    return or_(false(), *(held.is_distinct_from(staged) for held, staged in pairs))


def _exact(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column by which values are compared letter by letter, capitals too."""
    return cast(column, Text) if isinstance(column.type, CITEXT) else column
