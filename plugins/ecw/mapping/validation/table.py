"""Whether the CRM's table has the columns of a mapping file, of types that hold what the mapping puts into them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, inspect, types
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import NoSuchTableError

from ecw.errors import CrmSchemaError
from ecw.mapping.definition.model import Column, Mapping
from ecw.settings.did_you_mean import did_you_mean

# The types that hold a value as it is; a text column takes dates and times in ISO 8601, too.
HOLDS: dict[str, tuple[type[types.TypeEngine[Any]], ...]] = {
    "string": (types.String,),
    "code": (types.String,),
    "concept": (types.String,),
    "reference": (types.String,),
    "date": (types.Date, types.String),
    "datetime": (types.DateTime, types.String),
    "boolean": (types.Boolean,),
    "integer": (types.Integer, types.Numeric, types.Float),
    "decimal": (types.Numeric, types.Float),
}
# What a text column must have room for: ids of FHIR, "Practitioner/" before them, ISO 8601 with an offset.
LONGEST = {"reference": 77, "date": 10, "datetime": 32}
LONGEST_ID = 64


def table_problems(connection: Connection, mapping: Mapping) -> list[str]:
    """Return what keeps the CRM's table from holding the mapping's rows: file, line, column and why."""
    schema, _, table = mapping.table.rpartition(".")
    try:
        found = inspect(connection).get_columns(table, schema or None)
    except NoSuchTableError:
        return [f"{mapping.file}:1: the CRM has no table {mapping.table!r}"]
    columns = {column["name"]: column for column in found}
    return [
        f"{mapping.file}:{column.line}: column {column.name!r}: {problem}"
        for column in mapping.columns
        for problem in _problems(mapping, column, columns)
    ]


def require_tables(connection: Connection, mappings: Iterable[Mapping]) -> None:
    """Raise CrmSchemaError with everything that keeps the CRM's tables from holding the rows of these mappings."""
    problems = [problem for mapping in mappings for problem in table_problems(connection, mapping)]
    if problems:
        raise CrmSchemaError(
            "The CRM's tables cannot hold what the mapping files put into them:\n" + "\n".join(problems) + "\n",
            next_move="change the CRM's table or the mapping file, then run `ecw mapping check`.",
        )


def _problems(mapping: Mapping, column: Column, columns: dict[str, ReflectedColumn]) -> Iterator[str]:
    found = columns.get(column.name)
    if found is None:
        yield f"the CRM's table {mapping.table!r} has no such column; {did_you_mean(column.name, columns)}"
        return
    sql = found["type"]
    if not isinstance(sql, HOLDS[column.type]):
        yield f"a value of type {column.type} does not fit into the table's {_name(sql)}"
        return
    if isinstance(sql, types.String):
        yield from _text_problems(mapping, column, sql)
    if not found["nullable"] and not column.required and column.pulled:
        yield "the table does not take an empty value, and the mapping does not require one: add `required: true`"


def _text_problems(mapping: Mapping, column: Column, sql: types.String) -> Iterator[str]:
    crosswalk = mapping.crosswalks[column.crosswalk] if column.crosswalk else None
    values = [*crosswalk.values.values(), *([crosswalk.default] if crosswalk.default else [])] if crosswalk else []
    enums = getattr(sql, "enums", None)
    if enums is not None:
        unknown = sorted(set(values) - set(enums))
        if unknown:
            yield f"the table's {_name(sql)} lacks values of the crosswalk {column.crosswalk}: {', '.join(unknown)}"
        return
    longest = LONGEST_ID if column.name == mapping.key else LONGEST.get(column.type, 0)
    longest = max([longest, *(len(value) for value in values)])
    if sql.length is not None and sql.length < longest:
        yield f"values of {longest} characters come, and the table's {_name(sql)} holds {sql.length}"


def _name(sql: types.TypeEngine[Any]) -> str:
    return str(sql) if not isinstance(sql, types.NullType) else "unknown type"
