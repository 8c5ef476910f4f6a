"""Temporary tables that hold a batch inside the database, so that the load itself is a few set-based statements.

They are filled before the load's transaction begins. On SQLite a temporary table is a file of its own, so other writers
do not wait for the write lock while a million lines are read.
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
from ecw.crm.db.enums import CountsAs, RejectStep, StageAction
from ecw.crm.db.tables import UtcTime
from ecw.models import Batch

REJECT = ("seq", "ecw_id", "step", "rule", "column", "reason", "hash", "source_version", "batch")
CHUNK = 5_000  # lines in memory at a time
# Actions after which the CRM has this version of the record, or a newer one.
SETTLED = (StageAction.INSERT, StageAction.UPDATE, StageAction.SAME, StageAction.LOCKED, StageAction.STALE)


@dataclass(frozen=True, slots=True)
class Read:
    """When a batch's records were read from eCW: from `start` to `end`, None if not known.

    `always` is true for a full pull and for a pull of single records: they are loaded whatever their versions are.
    """

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
        """Return the condition that this batch and a record that was read by `read_at` may have been read in parallel.

        What was read last is the truth, also if its version is older: a record may have been restored, or its earlier
        version was wrong. Only if two reads may have overlapped do the versions decide which one is newer.
        """
        if self.always:
            return false()
        if self.start is None:
            return true()
        return func.coalesce(read_at > literal(self.start, UtcTime), true())


@dataclass(slots=True)
class Stage:
    """The temporary tables of one load, and the counts of filling them.

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
    """Return a temporary table with an index on `ecw_id`; the caller creates the index when the table is filled."""
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
# The table `ecw_stage_row` by business table and columns: SQLAlchemy caches compiled SQL by the table objects.
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
        Column("action", String(16)),  # a StageAction
        Column("counts_as", String(16)),  # a CountsAs
        Column("status", String(16)),
        Column("status_reason", Text),
        # The merge base once the row is written: see ecw_merge_base.
        Column("agreed_emr", Text),
        Column("agreed_crm", Text),
        Column("agreed_sent", Text),
        Column("fields", Text),  # names of the columns that change
        Column("adopted", Boolean),  # not found by a link; true: by its eCW id; false: by a create without an answer
        Column("read_earlier", Boolean),  # a deferred row that was read before the batch
        Column("unsettled", Boolean),  # the next run must map the record again, although it is unchanged
        *(Column(f"v{number}", column.type) for number, column in enumerate(target.columns.values())),
    )


def drop_stage(connection: Connection) -> None:
    """Drop the temporary tables, if they exist, before the connection goes back to the pool."""
    for name in ("ecw_stage_row", REJECTS.name, NEWER.name, COMING.name):
        connection.execute(DropTable(Table(name, MetaData()), if_exists=True))


def refuse(connection: Connection, stage: Stage, reasons: Mapping[int, str], rule: str, column: str = "") -> None:
    """Reject staged rows by a rule of the load; `reasons` has the reason for each row, by seq."""
    s, b = stage.rows, stage.rejects
    for seq, reason in sorted(reasons.items()):
        number = select(func.coalesce(func.max(b.c.seq), 0) + 1).scalar_subquery()
        batch = literal(stage.source) if stage.source else null()
        reject = (literal(RejectStep.LOAD, String), literal(rule), literal(column), literal(reason))
        lines = select(number, s.c.ecw_id, *reject, s.c.hash, s.c.source_version, batch).where(s.c.seq == seq)
        connection.execute(b.insert().from_select(list(REJECT), lines))
        connection.execute(
            update(s).where(s.c.seq == seq).values(action=StageAction.REFUSED, counts_as=CountsAs.REFUSED, fields=None)
        )


def differs(stage: Stage, target: BusinessTable) -> ColumnElement[bool]:
    """Return the condition that a row of the CRM's table differs from the staged row in any column."""
    pairs = [(_exact(target.columns[name]), _exact(staged)) for name, staged in stage.values.items()]
    return or_(false(), *(held.is_distinct_from(staged) for held, staged in pairs))


def _exact(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column cast so that values are compared case-sensitively."""
    return cast(column, Text) if isinstance(column.type, CITEXT) else column
