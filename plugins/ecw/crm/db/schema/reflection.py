"""Reflect one of the CRM's tables from the database: its columns, the base types of domains, and its key."""

from __future__ import annotations

import warnings
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    inspect,
    text,
    types,
)
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.exc import NoSuchTableError, SAWarning

from ecw.crm.db import lenient_dates
from ecw.did_you_mean import nearest
from ecw.errors import CrmSchemaError

# The base type of a domain, which may be a domain itself: the type's modifier, and the name of a domain that is NOT
# NULL.  https://www.postgresql.org/docs/current/catalog-pg-type.html
_DOMAINS = """
WITH RECURSIVE beneath AS (
    SELECT a.attname, t.oid, t.typbasetype, t.typtypmod, t.typnotnull
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = CAST(:name AS regclass) AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'd'
    UNION ALL
    SELECT b.attname, t.oid, t.typbasetype, t.typtypmod, t.typnotnull
    FROM beneath b JOIN pg_type t ON t.oid = b.typbasetype
    WHERE t.typtype = 'd'
)
SELECT attname, max(typtypmod), max(format_type(oid, NULL)) FILTER (WHERE typnotnull) FROM beneath GROUP BY attname
"""


# Columns that no mapping fills may have any type. Not `catch_warnings`, which would affect other threads.
warnings.filterwarnings("ignore", "Did not recognize type", SAWarning)

FILLED = "domain that is never empty"  # key in a column's info: the name of the NOT NULL domain


def reflect(connection: Connection, name: str) -> Table:
    """Return one of the CRM's tables (`schema.table` where it has a schema).

    A column of a domain gets the domain's base type.  If the table has not changed since the engine last reflected it,
    the same object is returned.  Raises CrmSchemaError if the table does not exist.
    """
    schema, _, bare = name.rpartition(".")
    try:
        table = Table(
            *(bare, MetaData()),
            schema=schema or None,
            autoload_with=connection,
            resolve_fks=False,
            listeners=[("column_reflect", lenient_dates.reflected)],
        )
    except NoSuchTableError:
        raise CrmSchemaError(
            f"The CRM has no table {name}{_near(connection, schema, bare)}.",
            next_step="run `ecw migrate`, or fix `table` in the mapping file: capitals count, and a table of another "
            "schema is written schema.table.",
        ) from None
    _resolve_domains(connection, table)
    return _same_if_unchanged(connection.dialect, name, table)


# The last reflected tables, by the dialect object, of which each engine has its own. SQLAlchemy caches compiled SQL by
# the table object.
_reflected: WeakKeyDictionary[Dialect, dict[str, tuple[list[Any], Table]]] = WeakKeyDictionary()


def _same_if_unchanged(dialect: Dialect, name: str, table: Table) -> Table:
    """Return the table that was reflected before, if it is the same in everything that the project uses."""
    described = [[key.name for key in keys_of(table)], *map(_described, table.columns)]
    before = _reflected.setdefault(dialect, {})
    if name not in before or before[name][0] != described:
        before[name] = described, table
    return before[name][1]


def _described(column: Column[Any]) -> tuple[Any, ...]:
    # `dispatch` holds SQLAlchemy's events, which differ for each object.
    kind = {name: value for name, value in vars(column.type).items() if name != "dispatch"}
    identity, computed = column.identity, column.computed
    filled = (default_of(column), identity and bool(identity.always), computed and str(computed.sqltext))
    return column.name, type(column.type), kind, column.nullable, column.primary_key, *filled, column.info.get(FILLED)


def quoted(connection: Connection, table: Table) -> str:
    """Return the table's name as SQL writes it."""
    return connection.dialect.identifier_preparer.format_table(table)


def keys_of(table: Table) -> list[Column[Any]]:
    """Return the columns that could be the key of a row: exactly one if the key is clear.

    It is the primary key of one column, or else a unique column that is NOT NULL and that the database fills.
    """
    primary = list(table.primary_key.columns)
    if len(primary) == 1:
        return primary
    unique = [list(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
    unique += [list(each.columns) for each in table.indexes if each.unique and not _partial(each)]
    single = {columns[0].name: columns[0] for columns in unique if len(columns) == 1}
    return [
        column
        for _, column in sorted(single.items())
        if not column.nullable and is_generated(column) and isinstance(column.type, Integer | String | Uuid)
    ]


def key_of(table: Table) -> Column[Any]:
    """Return the key of a row: see `keys_of`.  Raises CrmSchemaError if there is none, or more than one."""
    keys = keys_of(table)
    if len(keys) != 1:
        raise CrmSchemaError(
            f"The CRM's table {table.fullname} has no key of one column by which a row can be identified.",
            next_step="give it one: `ecw mapping check` prints the SQL.",
        )
    return keys[0]


def is_generated(column: Column[Any]) -> bool:
    """Return True if the database fills the column when a row is inserted without a value for it."""
    if column.identity is not None or column.computed is not None:
        return True
    default = default_of(column)
    return default is not None and not default.upper().startswith("NULL")


def default_of(column: Column[Any]) -> str | None:
    """Return the SQL of the column's default; None without one, and for identity and computed columns."""
    if column.identity is not None or column.computed is not None or column.server_default is None:
        return None
    return str(getattr(column.server_default, "arg", ""))


def _partial(index: Any) -> bool:
    return any(index.dialect_options[name].get("where") is not None for name in ("postgresql", "sqlite"))


def _near(connection: Connection, schema: str, bare: str) -> str:
    found = inspect(connection)
    if schema and schema not in found.get_schema_names():
        return f", nor a schema {schema}"
    names = {name.lower(): name for name in found.get_table_names(schema or None)}
    near = nearest(bare.lower(), names)
    return f"; did you mean {schema + '.' if schema else ''}{names[near]}?" if near is not None else ""


def _resolve_domains(connection: Connection, table: Table) -> None:
    if not any(isinstance(column.type, DOMAIN) for column in table.columns):
        return
    for name, modifier, filled in connection.execute(text(_DOMAINS), {"name": quoted(connection, table)}):
        column = table.columns[name]
        kind: Any = column.type
        while isinstance(kind, DOMAIN):
            kind = kind.data_type
        column.type = _modified(kind, modifier)
        if filled:
            column.nullable = False
            column.info[FILLED] = filled


def _modified(kind: Any, modifier: int) -> types.TypeEngine[Any]:
    """Return a type with PostgreSQL's type modifier applied: the length of a text, the digits of a number."""
    if modifier < 4:
        return kind  # type: ignore[no-any-return]
    if isinstance(kind, types.Numeric):
        return types.Numeric((modifier - 4) >> 16, (modifier - 4) & 0x7FF)
    return type(kind)(modifier - 4) if isinstance(kind, types.String) else kind
