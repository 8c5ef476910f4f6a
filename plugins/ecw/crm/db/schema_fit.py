"""Check that the CRM's tables can hold what the mapping files put into them, before the first call to eCW."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, types

from ecw.crm.db.business_table import CHANGED, LOCK, STATUS, filled_by_load, practice_column
from ecw.crm.db.schema.constraints import broken_by
from ecw.crm.db.schema.problems import Problem, alter, let_be_empty, problems, type_name
from ecw.crm.db.schema.reflection import quoted, reflect
from ecw.crm.db.schema.rights import bookkeeping_rights, table_rights
from ecw.errors import ConfigurationError, CrmSchemaError

if TYPE_CHECKING:
    from ecw.mapping.definition.model import Column, Mapping

# The column types that hold a value unchanged. A text column also takes dates and times in ISO 8601, an integer column
# also 0 and 1 for a boolean.
HOLDS: dict[str, tuple[type[types.TypeEngine[Any]], ...]] = {
    "string": (types.String,),
    "code": (types.String,),
    "concept": (types.String,),
    "reference": (types.String,),
    "date": (types.Date, types.String),
    "datetime": (types.DateTime, types.String),
    "boolean": (types.Boolean, types.Integer),
    "integer": (types.Integer, types.Numeric, types.Float),
    "decimal": (types.Numeric, types.Float),
}
# The column type that the repair SQL sets.
BECOMES = {
    "date": "date",
    "datetime": "timestamptz",
    "boolean": "boolean",
    "integer": "bigint",
    "decimal": "numeric",
}
# The least length of a text column: a FHIR id with "Practitioner/" before it, ISO 8601 with an offset.
LONGEST = {"reference": 77, "date": 10, "datetime": 32}
LONGEST_ID = 64
TRUE_WORDS = "('1', 't', 'true', 'y', 'yes')"
_OWN = {LOCK: (types.Boolean, "boolean"), STATUS: (types.String, "text"), CHANGED: (types.DateTime, "timestamptz")}


def table_problems(connection: Connection, mapping: Mapping) -> list[str]:
    """Return why the CRM's table cannot hold the mapping's rows, each with file, line, column, cause and repair."""
    return _messages(mapping, in_the_way(connection, mapping))


def _messages(mapping: Mapping, found: Iterable[Problem]) -> list[str]:
    lines = {column.name: column.line for column in mapping.columns}
    return [f"{mapping.file}:{lines.get(each.column, 1)}: {each}" for each in found]


def in_the_way(connection: Connection, mapping: Mapping) -> list[Problem]:
    """Return why the CRM's table cannot hold the mapping's rows."""
    try:
        table = reflect(connection, mapping.table)
    except CrmSchemaError as error:
        return [Problem("", error.what)]
    return list(_problems(connection, table, mapping))


def require_tables(connection: Connection, mappings: Iterable[Mapping]) -> None:
    """Check that the CRM's tables can hold the rows of these mappings, and that the connection's user may write them.

    Raises CrmSchemaError, or ConfigurationError if a right is missing; each lists all problems.
    """
    tables: list[tuple[Mapping, Table]] = []
    messages: list[str] = []
    for mapping in mappings:
        try:
            table = reflect(connection, mapping.table)
        except CrmSchemaError as error:
            messages += _messages(mapping, [Problem("", error.what)])
        else:
            tables.append((mapping, table))
            messages += _messages(mapping, _problems(connection, table, mapping))
    if messages:
        raise CrmSchemaError(
            "The CRM's tables cannot hold what the mapping files put into them:\n" + "\n".join(messages) + "\n",
            next_step="change the CRM's table or the mapping file, then run `ecw mapping check`.",
        )
    require_rights(connection, [each for mapping, table in tables for each in _rights(connection, mapping, table)])


def require_rights(connection: Connection, missing: Sequence[str] = ()) -> None:
    """Raise ConfigurationError if the connection's user may not write the bookkeeping, or another right is `missing`.

    The error holds the SQL that grants all missing rights.
    """
    missing = [*missing, *bookkeeping_problems(connection)]
    if missing:
        raise ConfigurationError(
            "The CRM connection's user lacks rights:\n" + "\n".join(missing) + "\n",
            next_step="run the SQL above as the owner of the tables; `ecw mapping check` shows what is still missing.",
            who="database administrator",
        )


def bookkeeping_problems(connection: Connection) -> list[str]:
    """Return which rights the connection's user lacks on the project's own tables, with the SQL that grants them."""
    return [str(each) for each in bookkeeping_rights(connection)]


def rights_problems(connection: Connection, mappings: Iterable[Mapping]) -> list[str]:
    """Return which rights the connection's user lacks on the mappings' tables, with the SQL that grants them.

    Raises CrmSchemaError if a table is missing.
    """
    return [each for mapping in mappings for each in _rights(connection, mapping, reflect(connection, mapping.table))]


def _rights(connection: Connection, mapping: Mapping, table: Table) -> list[str]:
    names = [column.name for column in mapping.columns]
    return [f"{mapping.file}:1: {each}" for each in table_rights(connection, table, names)]


def _problems(connection: Connection, table: Table, mapping: Mapping) -> Iterator[Problem]:
    wanted = [column.name for column in mapping.columns]
    only_read = [column.name for column in mapping.columns if not column.pulled]
    required_references = [
        each.name for each in mapping.pulled if each.type == "reference" and each.required and not each.crosswalk
    ]
    of_table = list(
        problems(connection, table, wanted, mapping.key, only_read, filled_by_load(connection, required_references))
    )
    named = {each.column for each in of_table}
    for column in mapping.columns:
        if column.name in table.columns and column.name not in named:
            yield from _of_column(connection, table, mapping, column)
    for each in of_table:
        yield _with_column(connection, table, mapping, each)
    if "" not in named:
        yield from _of_own_columns(connection, table, set(wanted))


def _with_column(connection: Connection, table: Table, mapping: Mapping, problem: Problem) -> Problem:
    """Return the problem, with the SQL that adds the column if the column is missing."""
    if not problem.column or problem.column in table.columns:
        return problem
    column = mapping.column(problem.column)
    name = connection.dialect.identifier_preparer.quote(column.name)
    add = f"ALTER TABLE {quoted(connection, table)} ADD COLUMN {name} {BECOMES.get(column.type, 'text')};"
    return Problem(problem.column, problem.cause, add)


def _of_own_columns(connection: Connection, table: Table, wanted: set[str]) -> Iterator[Problem]:
    """Yield a problem for each column that the project uses by its name and that has another type."""
    own = {**_OWN, practice_column(connection): (types.String, "text")}
    for name, (kind, becomes) in own.items():
        column = table.columns.get(name)
        if column is None or name in wanted or isinstance(column.type, kind):
            continue
        using = f"lower({name}::text) IN {TRUE_WORDS}" if name == LOCK else f"{name}::{becomes}"
        yield Problem(
            name,
            f"it is {type_name(connection, column)}, and must be {becomes}: the project uses this column by its name",
            alter(connection, table, name, f"TYPE {becomes} USING {using}"),
        )


def _of_column(connection: Connection, table: Table, mapping: Mapping, column: Column) -> Iterator[Problem]:
    found = table.columns[column.name]
    sql = found.type
    if not isinstance(sql, HOLDS[column.type]):
        becomes, name = BECOMES.get(column.type, "text"), connection.dialect.identifier_preparer.quote(column.name)
        using = f"lower({name}::text) IN {TRUE_WORDS}" if becomes == "boolean" else f"{name}::text::{becomes}"
        yield Problem(
            column.name,
            f"a value of type {column.type} does not fit into the table's {type_name(connection, found)}",
            alter(connection, table, column.name, f"TYPE {becomes} USING {using}"),
        )
        return
    if isinstance(sql, types.String):
        yield from _of_text(connection, table, mapping, column)
    if not found.nullable and not column.required and column.pulled:
        yield Problem(
            column.name,
            "the column is NOT NULL, and the mapping does not require a value: add `required: true`, or drop NOT NULL",
            let_be_empty(connection, table, found),
        )


def _of_text(connection: Connection, table: Table, mapping: Mapping, column: Column) -> Iterator[Problem]:
    found = table.columns[column.name]
    sql: Any = found.type
    crosswalk = mapping.crosswalks[column.crosswalk] if column.crosswalk else None
    values = [*crosswalk.values.values(), *([crosswalk.default] if crosswalk.default else [])] if crosswalk else []
    enums = getattr(sql, "enums", None)
    if enums is not None:
        unknown = sorted(set(values) - set(enums))
        if unknown:
            words = (f"ALTER TYPE {type_name(connection, found)} ADD VALUE '{_escaped(word)}';" for word in unknown)
            yield Problem(
                column.name,
                f"the table's {type_name(connection, found)} lacks values of the crosswalk {column.crosswalk}: "
                f"{', '.join(unknown)}",
                " ".join(words),
            )
        return
    longest = LONGEST_ID if column.name == mapping.key else LONGEST.get(column.type, 0)
    longest = max([longest, *(len(value) for value in values)])
    if sql.length is not None and sql.length < longest:
        yield Problem(
            column.name,
            f"its values can have {longest} characters, and the table's {type_name(connection, found)} holds "
            f"{sql.length}",
            alter(connection, table, column.name, f"TYPE varchar({longest})"),
        )
    elif values and column.pulled:
        yield from broken_by(connection, table, column.name, sorted(set(values)))


def _escaped(word: str) -> str:
    return word.replace("'", "''")
