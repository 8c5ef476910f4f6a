"""Temporary tables that hold a batch inside the database, so that the load itself is a few statements over sets.

They are filled before the load's transaction begins: on SQLite a temporary table is a file of its own, so that nobody
waits for the write lock while a million lines are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count, islice
from typing import Any, Self, TypeVar

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
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.converters import Unfit, instant
from ecw.crm.db.errors import translated
from ecw.crm.db.in_parts import in_parts
from ecw.crm.db.tables import UtcTime
from ecw.errors import CrmSchemaError, RowRefused
from ecw.models import Batch
from ecw.three_way_merge import text

Line = TypeVar("Line")
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


def open_stage(connection: Connection, target: BusinessTable, source: str | None = None) -> Stage:
    """Create the temporary tables on this connection."""
    values = {name: Column(f"v{n}", column.type) for n, (name, column) in enumerate(target.columns.items())}
    rows = Table(
        "ecw_stage_row",
        MetaData(),
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
        *values.values(),
        prefixes=["TEMPORARY"],
    )
    rejects = Table(
        "ecw_stage_reject",
        MetaData(),
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("ecw_id", String(128)),
        Column("step", String(16)),
        Column("rule", String(128)),
        Column("column", String(128)),
        Column("reason", Text),
        Column("hash", String(128)),
        Column("source_version", UtcTime),
        Column("batch", Text),
        prefixes=["TEMPORARY"],
    )
    newer = Table(
        "ecw_stage_newer",
        MetaData(),
        Column("ecw_id", String(128)),
        Column("source_version", UtcTime),
        Column("hash", String(128)),
        prefixes=["TEMPORARY"],
    )
    for table in (rows, rejects, newer):
        # The statement alone: Table.create() would also create the types of PostgreSQL's enumerations again.
        connection.execute(CreateTable(table))
    return Stage(rows, rejects, newer, values, source=source)


def drop_stage(connection: Connection) -> None:
    """Drop the temporary tables, where there are any: the connection goes back to the pool."""
    for name in ("ecw_stage_row", "ecw_stage_reject", "ecw_stage_newer", "ecw_stage_coming"):
        connection.execute(DropTable(Table(name, MetaData()), if_exists=True))


def expect(connection: Connection, stage: Stage, coming: Iterable[tuple[str, str]]) -> None:
    """Note records that count as being in the CRM already, as (resource, eCW id)."""
    columns = Column("resource", String(64)), Column("ecw_id", String(128))
    stage.coming = Table("ecw_stage_coming", MetaData(), *columns, prefixes=["TEMPORARY"])
    connection.execute(CreateTable(stage.coming))
    for chunk in _chunks(coming):
        _copy(connection, stage.coming, ["resource", "ecw_id"], chunk)
    connection.execute(CreateIndex(Index("ecw_stage_coming_ecw_id", stage.coming.c.ecw_id)))


@dataclass(frozen=True, slots=True)
class StagedLines:
    """What a stage is filled with.

    `waited` are rows that have waited in the CRM: they come before those of the batch, which may be newer, and are no
    part of the batch's fingerprint. `newer` are the unchanged ones with a newer version.
    """

    rows: Iterable[dict[str, Any]]
    rejects: Iterable[dict[str, Any]] = ()
    waited: Sequence[dict[str, Any]] = ()
    newer: Iterable[dict[str, Any]] = ()


def fill(connection: Connection, stage: Stage, target: BusinessTable, lines: StagedLines) -> None:
    """Put the staged lines into the temporary tables; a row that a column cannot hold becomes a reject.

    Raises CrmSchemaError for a row with a column that the mapping does not name.
    """
    digest = hashlib.blake2b(target.mapped.version.encode(), digest_size=16)
    fit, reject_seq = _fitter(target), count()
    own = ("seq", "ecw_id", "source_version", "hash", "status", "status_reason", "agreed_emr", "read_earlier")
    row_names = [*own, *(column.name for column in stage.values.values())]
    stage.deferred_loaded = len(lines.waited)

    def refuse(refused: Iterable[dict[str, Any]]) -> None:
        _copy(connection, stage.rejects, REJECT, [_reject(line, next(reject_seq)) for line in refused])

    for chunk in _chunks(chain(lines.waited, lines.rows)):
        accepted: list[tuple[dict[str, Any], list[Any]]] = []
        unfit = []
        for line in chunk:
            stage.lines += 1
            if stage.lines > stage.deferred_loaded:
                digest.update(f"\n{line['ecw_id']} {line['version']} {line['hash']}".encode())
            values, problems = fit(line["row"])
            if problems:
                stage.unfit += 1
                unfit += [_unfit(line, column, reason, stage.source) for column, reason in problems]
                continue
            accepted.append((line, _accepted(stage, target, line) + values))
        for line, error in _stage_rows(connection, stage, row_names, accepted):
            stage.unfit += 1
            unfit.append(_unfit(line, error.column, error.reason, stage.source) | {"rule": error.rule})
        refuse(unfit)
    for chunk in _chunks(lines.rejects):
        for line in chunk:
            digest.update(f"\n{line['ecw_id']} {line['version']} {line['hash']} {line['rule']}".encode())
        refuse(chunk)
    for chunk in _chunks(lines.newer):
        for line in chunk:
            digest.update(f"\n{line['ecw_id']} {line['version']}".encode())
        alike = [[line["ecw_id"], _version(line["version"]), line["hash"]] for line in chunk]
        _copy(connection, stage.newer, ["ecw_id", "source_version", "hash"], alike)
    stage.fingerprint = digest.hexdigest()
    # Without the indexes SQLite joins by scanning; without statistics, which temporary tables never get by themselves,
    # PostgreSQL guesses. Built at the end, which is quicker.
    for table in (stage.rows, stage.rejects, stage.newer):
        connection.execute(CreateIndex(Index(f"{table.name}_ecw_id", table.c.ecw_id)))
    if connection.dialect.name == "postgresql":
        # Of what statements join and filter by: to look at all columns takes as long as to copy them.
        analyzed = "ecw_stage_row (seq, ecw_id, fate), ecw_stage_reject (seq, ecw_id), ecw_stage_newer (ecw_id)"
        connection.exec_driver_sql(f"ANALYZE {analyzed}")


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


def _chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _accepted(stage: Stage, target: BusinessTable, line: dict[str, Any]) -> list[Any]:
    """Return what the stage has of a row beside the values of its columns."""
    status, reason = line.get("status") or (None, None)
    agreed = text({name: value for name, value in line["row"].items() if name != target.mapped.key})
    read_earlier = stage.lines <= stage.deferred_loaded and _was_read_before(line.get("read"), stage.read)
    return [stage.lines, line["ecw_id"], _version(line["version"]), line["hash"], status, reason, agreed, read_earlier]


def _was_read_before(moment: str | None, read: Read) -> bool:
    if moment is None or read.start is None:
        return read.always
    return read.always or datetime.fromisoformat(moment) <= read.start


def _unfit(line: dict[str, Any], column: str, reason: str, source: str | None) -> dict[str, Any]:
    found = {name: line[name] for name in ("ecw_id", "hash", "version")}
    return found | {"step": "load", "rule": "column_type", "column": column, "reason": reason, "batch": source}


def _reject(line: dict[str, Any], seq: int) -> list[Any]:
    made = {"seq": seq, "column": line["column"] or "", "source_version": _version(line["version"])}
    return [made[name] if name in made else line[name] for name in REJECT]


def _version(text: str | None) -> Any:
    return None if text is None else instant(text)


def _fitter(target: BusinessTable) -> Callable[[dict[str, Any]], tuple[list[Any], list[tuple[str, str]]]]:
    """Return a function: a row -> its values as its columns take them, in their order; and the columns that cannot.

    With a column that cannot, and why, the values are not whole.
    """
    columns = [(name, target.converters[name], column.nullable) for name, column in target.columns.items()]
    names = target.columns.keys()

    def fit(row: dict[str, Any]) -> tuple[list[Any], list[tuple[str, str]]]:
        if unknown := row.keys() - names:
            raise CrmSchemaError(
                f"A row has a column {min(unknown)} that was not announced for {target.table.name}.",
                next_step="run the resource's map task again: its batch was made with another mapping file.",
            )
        values, problems = [], []
        for name, convert, nullable in columns:
            value = row.get(name)
            try:
                values.append(None if value is None else convert(value))
            except Unfit as why:
                problems.append((name, str(why)))
            if value is None and not nullable and name in row:
                problems.append((name, "is empty, and the CRM's column must not be"))
        return values, problems

    return fit


def _stage_rows(
    connection: Connection, stage: Stage, names: Sequence[str], lines: Sequence[tuple[dict[str, Any], list[Any]]]
) -> Iterator[tuple[dict[str, Any], RowRefused]]:
    """Put rows into the stage; yield those that the database cannot hold, in a character set that lacks theirs, say."""

    def write(part: Sequence[int] | None) -> None:
        _copy(connection, stage.rows, names, [lines[at][1] for at in (range(len(lines)) if part is None else part)])

    for at, error in in_parts(connection, lambda: range(len(lines)), write).items():
        yield lines[at][0], error


def _copy(connection: Connection, table: Table, names: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Put lines into these columns of a temporary table by the quickest way that the database has."""
    if not lines:
        return
    if connection.dialect.name == "postgresql":
        quote = connection.dialect.identifier_preparer.quote
        driver: Any = connection.connection.driver_connection
        columns = ", ".join(quote(name) for name in names)
        # Past SQLAlchemy, so its errors, which quote the line, are translated here.
        with translated(), driver.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
            for line in lines:
                copy.write_row(line)
        return
    connection.execute(table.insert(), [dict(zip(names, line, strict=True)) for line in lines])
