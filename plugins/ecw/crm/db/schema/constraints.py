"""Check, before the first pull, whether the values of a crosswalk break a constraint of the CRM's column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Table, text

from ecw.crm.db.schema.problems import Problem
from ecw.crm.db.schema.reflection import quoted

# The CHECK and FOREIGN KEY constraints of this column alone, with their definitions; and the column's domain.
_OF_COLUMN = """
SELECT c.conname, c.contype, pg_get_constraintdef(c.oid) AS definition, pg_get_expr(c.conbin, c.conrelid) AS expression,
    c.confrelid::regclass::text AS other, f.attname AS other_column, format_type(a.atttypid, a.atttypmod) AS kind
FROM pg_attribute a
JOIN pg_constraint c ON c.conrelid = a.attrelid AND c.conkey = ARRAY[a.attnum] AND c.contype IN ('c', 'f')
LEFT JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1]
WHERE a.attrelid = CAST(:name AS regclass) AND a.attname = :column AND NOT a.attisdropped
ORDER BY c.conname
"""
_DOMAIN = """
SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = CAST(:name AS regclass) AND a.attname = :column AND NOT a.attisdropped AND t.typtype = 'd'
"""
SHOWN = 5  # values in a message


def broken_by(connection: Connection, table: Table, column: str, values: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each constraint of a column that some of the values break; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    quote, name = connection.dialect.identifier_preparer.quote, quoted(connection, table)
    named = {"name": name, "column": column}
    for row in connection.execute(text(_OF_COLUMN), named).all():
        own, constraint = quote(column), quote(row.conname)
        candidates = f"(SELECT value::{row.kind} AS {own} FROM unnest(:values) value) candidates"  # noqa: S608 - names of the database's own
        if row.contype == "c":
            broken = _query(connection, f"SELECT {own}::text FROM {candidates} WHERE NOT ({row.expression})", values)  # noqa: S608
            wider = f"({row.expression}) OR {own} IN ({_literals(broken)})"
            yield from _refusal(
                column,
                broken,
                f"break its constraint {row.conname}",
                f"ALTER TABLE {name} DROP CONSTRAINT {constraint}, ADD CONSTRAINT {constraint} CHECK ({wider});",
            )
        else:
            other = f"{row.other} listed WHERE listed.{quote(row.other_column)} = candidates.{own}"
            missing = f"SELECT {own}::text FROM {candidates} WHERE NOT EXISTS (SELECT FROM {other})"  # noqa: S608
            broken = _query(connection, missing, values)
            rows = ", ".join(f"({one})" for one in _literals(broken).split(", ")) if broken else ""
            yield from _refusal(
                column,
                broken,
                f"are not in {row.other}, to which its foreign key {row.conname} refers",
                f"INSERT INTO {row.other} ({quote(row.other_column)}) VALUES {rows};",  # noqa: S608
            )
    for kind in connection.scalars(text(_DOMAIN), named).all():
        # https://www.postgresql.org/docs/16/functions-info.html: since PostgreSQL 16
        if (connection.dialect.server_version_info or (0,)) >= (16,):
            refused = "SELECT value FROM unnest(:values) value WHERE NOT pg_input_is_valid(value, :kind)"
            broken = _query(connection, refused, values, kind=kind)
            yield from _refusal(column, broken, f"break the rules of its domain {kind}", "")


def _query(connection: Connection, query: str, values: Sequence[str], **more: str) -> list[str]:
    # The driver's placeholders, not SQLAlchemy's: a constraint's text may hold colons.
    statement = query.replace("%", "%%").replace(":values", "%(values)s::text[]").replace(":kind", "%(kind)s")
    return list(connection.exec_driver_sql(statement, {"values": list(values), **more}).scalars())


def _refusal(column: str, broken: list[str], how: str, repair: str) -> Iterator[Problem]:
    if broken:
        more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        yield Problem(column, f"values of the crosswalk {how}: {', '.join(broken[:SHOWN])}{more}", repair)


def _literals(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
