"""Look up the CRM's current rows by eCW id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import NoSuchTableError

from ecw.errors import CrmSchemaError
from ecw.mapping.definition.model import Mapping


def rows_of(connection: Connection, mapping: Mapping) -> Callable[[list[str]], dict[str, dict[str, Any]]]:
    """Return the function that looks up rows; they have the mapping's columns that exist in the table.

    Raises CrmSchemaError if the table, or its key column, does not exist.
    """
    schema, _, name = mapping.table.rpartition(".")
    try:
        table = Table(name, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
        key = table.columns[mapping.key]
    except (NoSuchTableError, KeyError):
        raise CrmSchemaError(
            f"The CRM has no table {mapping.table} with a column {mapping.key}.",
            next_step="run `ecw migrate`, or fix `table` and `key` in the mapping file.",
        ) from None
    columns = [table.columns[column.name] for column in mapping.pulled if column.name in table.columns]

    def look_up(ecw_ids: list[str]) -> dict[str, dict[str, Any]]:
        found = connection.execute(select(*columns).where(key.in_(ecw_ids))).mappings()
        return {row[mapping.key]: dict(row) for row in found}

    return look_up
