"""Temporary tables that hold a batch inside the database, so that the load itself is a few statements over sets.

They are filled before the load's transaction begins: on SQLite a temporary table is a file of its own, so that nobody
waits for the write lock while a million lines are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from ecw.agreement import text
from ecw.crm.business import BusinessTable
from ecw.crm.convert import Unfit, instant
from ecw.crm.tables import UtcTime
from ecw.errors import CrmTableWrong

CHUNK = 5_000  # lines in memory at a time
SETTLED = ("insert", "update", "same", "locked", "older")  # fates after which the CRM has this version, or a newer one


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
    released: int = 0
    fingerprint: str = ""
    source: str | None = None
    coming: Table | None = None


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
        Column("fate", String(16)),  # duplicate, insert, update, same, older, parked, locked
        Column("counts_as", String(16)),  # inserted, updated, unchanged, parked
        Column("status", String(16)),
        Column("status_reason", Text),
        # What is agreed once the row is written: see ecw_agreed.
        Column("agreed_emr", Text),
        Column("agreed_crm", Text),
        Column("agreed_sent", Text),
        Column("fields", Text),  # names of the columns that change
        Column("adopted", Boolean),  # the CRM had the row before, and no link did
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
    for chunk in _chunks({"resource": resource, "ecw_id": ecw_id} for resource, ecw_id in coming):
        _copy(connection, stage.coming, ["resource", "ecw_id"], chunk)
    connection.execute(CreateIndex(Index("ecw_stage_coming_ecw_id", stage.coming.c.ecw_id)))


def fill(
    connection: Connection,
    stage: Stage,
    target: BusinessTable,
    rows: Iterable[dict[str, Any]],
    rejects: Iterable[dict[str, Any]],
    released: Sequence[dict[str, Any]] = (),
    newer: Iterable[dict[str, Any]] = (),
) -> None:
    """Put the staged lines into the temporary tables; a row that a column cannot hold becomes a reject.

    `released` are rows that have waited in the CRM: they come before those of the batch, which may be newer, and are no
    part of the batch's fingerprint. `newer` are the unchanged ones with a newer version. Raises CrmTableWrong for a row
    with a column that the mapping does not name.
    """
    digest = hashlib.blake2b(target.mapped.version.encode(), digest_size=16)
    reject_seq = count()
    own = ("seq", "ecw_id", "source_version", "hash", "status", "status_reason", "agreed_emr")
    row_names = [*own, *(column.name for column in stage.values.values())]
    reject_names = list(stage.rejects.columns.keys())
    stage.released = len(released)

    def refuse(lines: list[dict[str, Any]]) -> None:
        _copy(connection, stage.rejects, reject_names, [_reject(line, next(reject_seq)) for line in lines])

    for chunk in _chunks(chain(released, rows)):
        accepted, unfit = [], []
        for line in chunk:
            stage.lines += 1
            if stage.lines > stage.released:
                digest.update(f"\n{line['ecw_id']} {line['version']} {line['hash']}".encode())
            values, problems = _fit(target, line["row"])
            if problems:
                stage.unfit += 1
                unfit += [_unfit(line, column, reason, stage.source) for column, reason in problems]
                continue
            accepted.append(_accepted(stage, target, line, values))
        _copy(connection, stage.rows, row_names, accepted)
        refuse(unfit)
    for chunk in _chunks(rejects):
        for line in chunk:
            digest.update(f"\n{line['ecw_id']} {line['version']} {line['hash']} {line['rule']}".encode())
        refuse(chunk)
    for chunk in _chunks(newer):
        for line in chunk:
            digest.update(f"\n{line['ecw_id']} {line['version']}".encode())
        alike = [line | {"source_version": _version(line["version"])} for line in chunk]
        _copy(connection, stage.newer, ["ecw_id", "source_version", "hash"], alike)
    stage.fingerprint = digest.hexdigest()
    # Without the indexes SQLite joins by scanning; without statistics, which temporary tables never get by themselves,
    # PostgreSQL guesses. Built at the end, which is quicker.
    for table in (stage.rows, stage.rejects, stage.newer):
        connection.execute(CreateIndex(Index(f"{table.name}_ecw_id", table.c.ecw_id)))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE ecw_stage_row, ecw_stage_reject, ecw_stage_newer")


def _chunks(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _accepted(stage: Stage, target: BusinessTable, line: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    status, reason = line.get("status") or (None, None)
    return {
        "seq": stage.lines,
        "ecw_id": line["ecw_id"],
        "source_version": _version(line["version"]),
        "hash": line["hash"],
        "status": status,
        "status_reason": reason,
        "agreed_emr": text({name: value for name, value in line["row"].items() if name != target.mapped.key}),
    } | {stage.values[name].name: value for name, value in values.items()}


def _unfit(line: dict[str, Any], column: str, reason: str, source: str | None) -> dict[str, Any]:
    found = {name: line[name] for name in ("ecw_id", "hash", "version")}
    return found | {"step": "load", "rule": "column_type", "column": column, "reason": reason, "batch": source}


def _reject(line: dict[str, Any], seq: int) -> dict[str, Any]:
    found = {name: line[name] for name in ("ecw_id", "step", "rule", "reason", "hash", "batch")}
    return found | {"seq": seq, "column": line["column"] or "", "source_version": _version(line["version"])}


def _version(text: str | None) -> Any:
    return None if text is None else instant(text)


def _fit(target: BusinessTable, row: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the row's values as its columns take them, and the columns that cannot, each with why."""
    values: dict[str, Any] = dict.fromkeys(target.columns)
    problems = []
    for name, value in row.items():
        if value is None:
            if name in values and not target.columns[name].nullable:
                problems.append((name, "is empty, and the CRM's column must not be"))
            continue
        try:
            values[name] = target.converters[name](value)
        except Unfit as why:
            problems.append((name, str(why)))
        except KeyError:
            raise CrmTableWrong(
                f"A row has a column {name} that was not announced for {target.table.name}.",
                next_move="run the resource's map task again: its batch was made with another mapping file.",
            ) from None
    return values, problems


def _copy(connection: Connection, table: Table, names: list[str], lines: list[dict[str, Any]]) -> None:
    """Put lines into a temporary table by the quickest way that the database has."""
    if not lines:
        return
    if connection.dialect.name == "postgresql":
        quote = connection.dialect.identifier_preparer.quote
        driver: Any = connection.connection.driver_connection
        columns = ", ".join(quote(name) for name in names)
        with driver.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
            for line in lines:
                copy.write_row([line[name] for name in names])
        return
    connection.execute(table.insert(), lines)
