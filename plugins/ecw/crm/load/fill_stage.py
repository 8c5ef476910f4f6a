"""Fill a stage with a batch's lines: rows converted for their columns, rejects, and unchanged records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count, islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.schema import CreateIndex, CreateTable

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.converters import Converter, Unfit, instant
from ecw.crm.db.enums import RejectStep
from ecw.crm.db.errors import translated
from ecw.crm.db.in_parts import in_parts
from ecw.crm.load.stage import CHUNK, COMING, REJECT, Read, Stage
from ecw.errors import CrmSchemaError, RowRefused
from ecw.three_way_merge import text

# The columns of a staged row beside those of its values.
OWN = ("seq", "ecw_id", "source_version", "hash", "status", "status_reason", "agreed_emr", "read_earlier")
Line = TypeVar("Line")


def expect(connection: Connection, stage: Stage, coming: Iterable[tuple[str, str]]) -> None:
    """Stage the records, as (resource, eCW id), that a dry run counts as loaded already."""
    stage.coming = COMING
    connection.execute(CreateTable(stage.coming))
    for chunk in _chunks(coming):
        _copy(connection, stage.coming, ["resource", "ecw_id"], chunk)
    _create_indexes(connection, COMING)


@dataclass(frozen=True, slots=True)
class StagedLines:
    """The lines that a stage is filled with.

    `waited` are deferred rows that can be loaded now. They are staged before those of the batch, which may be newer,
    and do not count for the batch's fingerprint. `newer` are unchanged records with a newer version.
    """

    rows: Iterable[dict[str, Any]]
    rejects: Iterable[dict[str, Any]] = ()
    waited: Sequence[dict[str, Any]] = ()
    newer: Iterable[dict[str, Any]] = ()


def fill(connection: Connection, stage: Stage, target: BusinessTable, lines: StagedLines) -> None:
    """Put the lines into the temporary tables; a row with a value that its column cannot hold becomes a reject.

    Raises CrmSchemaError for a row with a column that the mapping does not name.
    """
    filler = _Filler(connection, stage, target)
    stage.deferred_loaded = len(lines.waited)
    filler.rows(chain(lines.waited, lines.rows))
    filler.rejects(lines.rejects)
    filler.newer(lines.newer)
    stage.fingerprint = filler.digest.hexdigest()
    # Without indexes SQLite joins by scanning. To build them at the end is faster. Without statistics, which
    # temporary tables never get by themselves, PostgreSQL guesses.
    for table in (stage.rows, stage.rejects, stage.newer):
        _create_indexes(connection, table)
    if connection.dialect.name == "postgresql":
        # Only the columns that statements join and filter by: to analyze all takes as long as to copy them.
        analyzed = "ecw_stage_row (seq, ecw_id, action), ecw_stage_reject (seq, ecw_id), ecw_stage_newer (ecw_id)"
        connection.exec_driver_sql(f"ANALYZE {analyzed}")


class _Filler:
    """Fills one stage, a chunk at a time; the digest covers every line of the batch."""

    def __init__(self, connection: Connection, stage: Stage, target: BusinessTable) -> None:
        self.connection, self.stage, self.target = connection, stage, target
        self.digest = hashlib.blake2b(target.mapped.version.encode(), digest_size=16)
        self._reject_seq = count()

    def rows(self, lines: Iterable[dict[str, Any]]) -> None:
        """Stage the rows that fit their columns, and the others as rejects."""
        stage, target, digest, fit = self.stage, self.target, self.digest, _fitter(self.target)
        names = [*OWN, *(column.name for column in stage.values.values())]
        for chunk in _chunks(lines):
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
            for line, error in _stage_rows(self.connection, stage, names, accepted):
                stage.unfit += 1
                unfit.append(_unfit(line, error.column, error.reason, stage.source) | {"rule": error.rule})
            self._refuse(unfit)

    def rejects(self, lines: Iterable[dict[str, Any]]) -> None:
        """Stage the rejects of the earlier steps."""
        for chunk in _chunks(lines):
            for line in chunk:
                self.digest.update(f"\n{line['ecw_id']} {line['version']} {line['hash']} {line['rule']}".encode())
            self._refuse(chunk)

    def newer(self, lines: Iterable[dict[str, Any]]) -> None:
        """Stage the unchanged records whose version is newer than that of their link."""
        for chunk in _chunks(lines):
            for line in chunk:
                self.digest.update(f"\n{line['ecw_id']} {line['version']}".encode())
            unchanged = [[line["ecw_id"], _version(line["version"]), line["hash"]] for line in chunk]
            _copy(self.connection, self.stage.newer, ["ecw_id", "source_version", "hash"], unchanged)

    def _refuse(self, lines: Iterable[dict[str, Any]]) -> None:
        refused = [_reject(line, next(self._reject_seq)) for line in lines]
        _copy(self.connection, self.stage.rejects, REJECT, refused)


def _create_indexes(connection: Connection, table: Table) -> None:
    for index in table.indexes:
        connection.execute(CreateIndex(index))


def _chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _accepted(stage: Stage, target: BusinessTable, line: dict[str, Any]) -> list[Any]:
    """Return the stage's own columns of a row: see `OWN`."""
    status, reason = line.get("status") or (None, None)
    agreed = text({name: value for name, value in line["row"].items() if name != target.mapped.key})
    read_earlier = stage.lines <= stage.deferred_loaded and _was_read_before(line.get("read"), stage.read)
    return [stage.lines, line["ecw_id"], _version(line["version"]), line["hash"], status, reason, agreed, read_earlier]


def _was_read_before(moment: str | None, read: Read) -> bool:
    if moment is None or read.start is None:
        return read.always
    return read.always or datetime.fromisoformat(moment) <= read.start


def _unfit(line: dict[str, Any], column: str, reason: str, source: str | None) -> dict[str, Any]:
    record = {name: line[name] for name in ("ecw_id", "hash", "version")}
    return record | {
        "step": RejectStep.LOAD,
        "rule": "column_type",
        "column": column,
        "reason": reason,
        "batch": source,
    }


def _reject(line: dict[str, Any], seq: int) -> list[Any]:
    converted = {"seq": seq, "column": line["column"] or "", "source_version": _version(line["version"])}
    return [converted[name] if name in converted else line[name] for name in REJECT]


def _version(text: str | None) -> Any:
    return None if text is None else instant(text)


def _fitter(target: BusinessTable) -> Callable[[dict[str, Any]], tuple[list[Any], list[tuple[str, str]]]]:
    """Return a function that converts a row; it returns the values in the columns' order, and the problems.

    A problem is (column, reason). If there is any, the values are incomplete. Nearly every row has none, so all columns
    are converted in one go first.
    """
    converters = [(name, target.converters[name]) for name in target.columns]
    required = [name for name, column in target.columns.items() if not column.nullable]
    names = target.columns.keys()

    def fit(row: dict[str, Any]) -> tuple[list[Any], list[tuple[str, str]]]:
        if unknown := row.keys() - names:
            raise CrmSchemaError(
                f"A row has a column {min(unknown)} that the mapping of {target.table.name} does not name.",
                next_step="run the resource's map task again: its batch was made with another mapping file.",
            )
        empty = [
            (name, "is empty, and the CRM's column is NOT NULL") for name in required if row.get(name, row) is None
        ]
        try:
            return [None if (value := row.get(name)) is None else convert(value) for name, convert in converters], empty
        except Unfit:
            return [], [*_unfit_values(row, converters), *empty]

    return fit


def _unfit_values(row: dict[str, Any], converters: Sequence[tuple[str, Converter]]) -> Iterator[tuple[str, str]]:
    for name, convert in converters:
        if (value := row.get(name)) is not None:
            try:
                convert(value)
            except Unfit as error:
                yield name, str(error)


def _stage_rows(
    connection: Connection, stage: Stage, names: Sequence[str], lines: Sequence[tuple[dict[str, Any], list[Any]]]
) -> Iterator[tuple[dict[str, Any], RowRefused]]:
    """Put rows into the stage; yield those that the database refuses, such as characters that its encoding lacks."""

    def write(part: Sequence[int] | None) -> None:
        _copy(connection, stage.rows, names, [lines[at][1] for at in (range(len(lines)) if part is None else part)])

    for at, error in in_parts(connection, lambda: range(len(lines)), write).items():
        yield lines[at][0], error


def _copy(connection: Connection, table: Table, names: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Put lines into these columns of a temporary table: by COPY on PostgreSQL, else by INSERT."""
    if not lines:
        return
    if connection.dialect.name == "postgresql":
        quote = connection.dialect.identifier_preparer.quote
        driver: Any = connection.connection.driver_connection
        columns = ", ".join(quote(name) for name in names)
        # COPY bypasses SQLAlchemy, so the driver's errors, which quote the line, are translated here.
        with translated(), driver.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
            for line in lines:
                copy.write_row(line)
        return
    connection.execute(table.insert(), [dict(zip(names, line, strict=True)) for line in lines])
