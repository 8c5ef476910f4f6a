"""Find why a mapping cannot fill a table, whatever the values are: its kind, its key, its columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Integer, String, Table, Uuid, text, types

from ecw.crm.db.converters import converter
from ecw.crm.db.schema.reflection import FILLED, is_generated, keys_of, quoted
from ecw.did_you_mean import did_you_mean

UUID_TEXT = 36  # characters of the keys that a load makes for a text column
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_KIND = "SELECT relkind FROM pg_class WHERE oid = CAST(:name AS regclass)"
# The tables that a view reads.
_BASE_TABLES = """
SELECT DISTINCT d.refobjid::regclass::text FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid
WHERE r.ev_class = CAST(:name AS regclass) AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
ORDER BY 1
"""
# Bits of tgtype: 1 a trigger for each row, 2 before, 4 of an insert.
_BEFORE_INSERT = """
SELECT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass) AND NOT tgisinternal AND tgenabled <> 'D'
    AND tgtype & 7 = 7
)
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """The column ('' for the table itself), the cause, and the SQL that repairs it, if there is any."""

    column: str
    cause: str
    repair: str = ""

    def __str__(self) -> str:
        where = f"column {self.column!r}: " if self.column else ""
        return f"{where}{self.cause}" + (f"; repair: {self.repair}" if self.repair else "")


def problems(
    connection: Connection,
    table: Table,
    wanted: Iterable[str],
    key: str,
    read: Collection[str] = (),
    filled: Iterable[str] = (),
) -> Iterator[Problem]:
    """Yield why a mapping that fills the `wanted` columns, with the eCW id in `key`, cannot fill the table.

    Those of the wanted columns that are in `read` are only read. A load fills the columns in `filled` by itself.
    """
    wanted = tuple(wanted)
    if key not in wanted:
        yield Problem("", f"the mapping's key {key} is not among its columns")
    if kind := _no_table(connection, table):
        yield kind
        return
    keys = keys_of(table)
    yield from _of_key(connection, table, keys, wanted)
    for name in wanted:
        if name not in table.columns:
            near = did_you_mean(name, table.columns.keys())
            yield Problem(name, f"the CRM's table {table.fullname!r} has no such column; {near}")
        elif name not in read:
            yield from _of_filled(connection, table, table.columns[name], keys)
    if _fills_before_insert(connection, table):
        return  # a trigger may fill NOT NULL columns; if it does not, the record becomes a reject
    by_load = set(wanted) - set(read) | set(filled)
    for column in table.columns:
        if not (column.nullable or is_generated(column) or column in keys or column.name in by_load):
            yield Problem(
                column.name,
                "it is NOT NULL, and the mapping does not fill it: give it a default, let it be empty, or map it",
                let_be_empty(connection, table, column),
            )


def alter(connection: Connection, table: Table, column: str, change: str) -> str:
    """Return the SQL that changes a column; '' on SQLite, which cannot."""
    if connection.dialect.name != "postgresql":
        return ""
    name = connection.dialect.identifier_preparer.quote(column)
    return f"ALTER TABLE {quoted(connection, table)} ALTER COLUMN {name} {change};"


def let_be_empty(connection: Connection, table: Table, column: Column[Any]) -> str:
    """Return the SQL after which the column may be empty."""
    domain = column.info.get(FILLED)
    return f"ALTER DOMAIN {domain} DROP NOT NULL;" if domain else alter(connection, table, column.name, "DROP NOT NULL")


def unfilled(connection: Connection, table: Table, names: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for each of these columns whose type the project cannot fill."""
    for name in names:
        if name in table.columns and converter(table.columns[name].type) is None:
            yield Problem(name, f"columns of its type, {type_name(connection, table.columns[name])}, cannot be filled")


def type_name(connection: Connection, column: Column[Any]) -> str:
    """Return the column's type as SQL writes it."""
    return "unknown type" if isinstance(column.type, types.NullType) else column.type.compile(connection.dialect)


def _no_table(connection: Connection, table: Table) -> Problem | None:
    """Return a problem if the name is not that of an ordinary or a partitioned table, else None."""
    if connection.dialect.name != "postgresql":
        views = text("SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = :name")
        is_view = connection.execute(views, {"name": table.name}).first() is not None
        return (
            Problem("", f"{table.fullname} is a view; name the table itself in the mapping file") if is_view else None
        )
    name = {"name": quoted(connection, table)}
    kind = _KINDS.get(connection.scalar(text(_KIND), name) or "")
    if kind is None:
        return None
    base_tables = ", ".join(connection.scalars(text(_BASE_TABLES), name)) if kind != "a foreign table" else ""
    instead = f"it reads {base_tables}" if base_tables else "its rows have no stable key"
    return Problem(
        "",
        f"{table.fullname} is {kind}: its rows cannot be locked, and have no key; name the table itself in the "
        f"mapping file ({instead})",
    )


def _of_key(
    connection: Connection, table: Table, keys: list[Column[Any]], wanted: tuple[str, ...]
) -> Iterator[Problem]:
    add = f"ALTER TABLE {quoted(connection, table)} ADD COLUMN"
    on_postgresql = connection.dialect.name == "postgresql"
    primary = len(table.primary_key.columns)
    if len(keys) > 1:
        names = ", ".join(column.name for column in keys)
        yield Problem("", f"several columns could be the key ({names}), and none is a primary key of one column")
        return
    if not keys:
        row_id = "id" if "id" not in table.columns else "ecw_row_id"
        role = "UNIQUE" if primary else "PRIMARY KEY"
        yield Problem(
            "",
            f"it needs a primary key of one column, and has {primary}: a row is identified by one value"
            + (" (a unique column that is NOT NULL and generated will do, too)" if primary else ""),
            f"{add} {row_id} bigint GENERATED BY DEFAULT AS IDENTITY {role};" if on_postgresql else "",
        )
        return
    [key] = keys
    if key.name in wanted:
        yield Problem(key.name, "the mapping fills it, and it is the table's own key")
    elif not isinstance(key.type, Integer | String | Uuid):
        yield Problem(
            key.name,
            f"it is the table's key, and {type_name(connection, key)} is neither a whole number, text nor a UUID",
            _numbered(connection, table, key) if isinstance(key.type, types.Numeric) and on_postgresql else "",
        )
    elif on_postgresql:
        yield from _of_new_keys(connection, table, key)


def _of_new_keys(connection: Connection, table: Table, key: Column[Any]) -> Iterator[Problem]:
    """Yield why a new row gets no key."""
    if key.identity is not None and key.identity.always:
        yield Problem(
            key.name,
            "it is the table's key and GENERATED ALWAYS AS IDENTITY: a load gives a row its key before it writes it",
            alter(connection, table, key.name, "SET GENERATED BY DEFAULT"),
        )
    elif isinstance(key.type, Integer) and not is_generated(key):
        yield Problem(
            key.name,
            "it is the table's key and has no default: a new row gets no key",
            _numbered(connection, table, key),
        )
    elif isinstance(key.type, String) and not is_generated(key) and (key.type.length or UUID_TEXT) < UUID_TEXT:
        yield Problem(
            key.name,
            f"it is the table's key, has no default, and is too short for the keys that a load makes ({UUID_TEXT} "
            "characters): give it a default, or make it longer",
            alter(connection, table, key.name, f"TYPE varchar({UUID_TEXT})"),
        )


def _numbered(connection: Connection, table: Table, key: Column[Any]) -> str:
    """Return the SQL after which the database numbers new rows."""
    name, column = quoted(connection, table), connection.dialect.identifier_preparer.quote(key.name)
    literal, bare = name.replace("'", "''"), key.name.replace("'", "''")
    sequence = f"pg_get_serial_sequence('{literal}', '{bare}')"
    whole = isinstance(key.type, Integer)
    changes = [] if whole else [alter(connection, table, key.name, f"TYPE bigint USING {column}::bigint")]
    if not is_generated(key):
        changes += [
            alter(connection, table, key.name, "ADD GENERATED BY DEFAULT AS IDENTITY"),
            f"SELECT setval({sequence}, coalesce(max({column}), 0) + 1, false) FROM {name};",  # noqa: S608
        ]
    return " ".join(changes)


def _of_filled(connection: Connection, table: Table, column: Column[Any], keys: list[Column[Any]]) -> Iterator[Problem]:
    if column.computed is not None:
        yield Problem(
            column.name,
            "the database computes it (GENERATED ALWAYS AS): take it out of the mapping file, or let it be an ordinary "
            "column",
            alter(connection, table, column.name, "DROP EXPRESSION"),
        )
    elif column.identity is not None and column.identity.always and column not in keys:
        yield Problem(
            column.name,
            "it is GENERATED ALWAYS AS IDENTITY: take it out of the mapping file, or let it be written",
            alter(connection, table, column.name, "SET GENERATED BY DEFAULT"),
        )


def _fills_before_insert(connection: Connection, table: Table) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    return bool(connection.scalar(text(_BEFORE_INSERT), {"name": quoted(connection, table)}))
