"""Helpers of the migrations: create tables unless the CRM has them, and report what was done."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from alembic import op

from ecw.crm.db.business_table import practice_column
from ecw.crm.db.schema.reflection import key_of, quoted, reflect
from ecw.errors import CrmSchemaError


def say(sentence: str) -> None:
    """Add a sentence to the report of the migration."""
    _attributes()["done"].append(sentence)


def crm() -> sa.Connection:
    """Return the connection for reading the database; `op.get_bind()` is for writing, and may only print the SQL."""
    connection: sa.Connection = _attributes()["connection"]
    return connection


def made(name: str) -> list[str]:
    """Return the columns of a table that this migration created, [] if it did not create it."""
    columns: list[str] = _attributes()["made"].get(name, [])
    return columns


def named(name: str) -> str:
    """Return the table that the mapping files name for a business table; usually the business table itself."""
    tables: dict[str, str] = _attributes()["tables"]
    return tables.get(name, name)


def _attributes() -> dict[Any, Any]:
    config = op.get_context().config
    return {} if config is None else config.attributes


def key() -> sa.Column[int]:
    """Return the key column of a new table."""
    # On SQLite only an INTEGER column generates keys, and only AUTOINCREMENT never reuses one.
    return sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
        comment="The row's key in the CRM",
    )


def business_table(name: str, *columns: sa.Column[Any], comment: str) -> bool:
    """Create a business table with a key, an indexed eCW id and a practice column; return True if it was created.

    It is not created if the CRM has a table of that name, or if the mapping files name another table.  Raises
    CrmSchemaError if the table that they name does not exist.
    """
    if (other := named(name)) != name:
        _require(name, other)
        say(f"made no table {name}: the mapping files name {other}, which is the CRM's own.")
        return False
    if sa.inspect(crm()).has_table(name):
        say(f"left the table {name} as it is: it is the CRM's own.")
        return False
    practice = practice_column(crm())
    table = op.create_table(
        name,
        key(),
        sa.Column("ecw_id", sa.String(64), comment="The record's id in eCW, none: not linked"),
        sa.Column(practice, sa.String(64), comment="The code of the row's practice: `ecw practice list` shows it"),
        *columns,
        sqlite_autoincrement=True,
        comment=comment,
    )
    _attributes()["made"][name] = table.columns.keys()
    op.create_index(f"{name}_ecw_id", name, ["ecw_id"])
    op.create_index(f"{name}_{practice}", name, [practice])
    for column in columns:
        if column.name.endswith("_id"):
            op.create_index(f"{name}_{column.name}", name, [column.name])
    say(f"made the table {name}.")
    return True


def _require(name: str, other: str) -> None:
    try:
        reflect(crm(), other)
    except CrmSchemaError as error:
        raise CrmSchemaError(
            f"The mapping files put each {name} into the table {other}. {error.what}",
            next_step="make that table, or fix `table` in the mapping file, then run `ecw migrate` again.",
        ) from None


def reference(name: str, table: str, *, comment: str, nullable: bool = True) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return the column of a reference, and the column for the key of the row that it refers to.

    The key has the type of the other table's key; that table may be the CRM's own.  Raises CrmSchemaError if the other
    table has no key of one column.
    """
    kind = key().type if made(table) else key_of(reflect(crm(), named(table))).type
    of_key = f"The key of that row of {table}, none: the row does not exist yet"
    return (
        sa.Column(name, sa.Text, nullable=nullable, comment=comment),
        sa.Column(f"{name}_id", kind, comment=of_key),
    )


def view(name: str, table: str, needs: Collection[str], query: str) -> None:
    """Create a view of a business table, unless the name is taken or the CRM's table lacks a needed column.

    In the query `{table}` stands for the table, and `{practice}` for the practice column, or for NULL if the CRM's own
    table has none.
    """
    found = sa.inspect(crm())
    if found.has_table(name) or name in found.get_view_names():
        say(f"left {name} as it is: it is the CRM's own.")
        return
    prepare, column = op.get_bind().dialect.identifier_preparer, practice_column(crm())
    if made(table):
        columns, full = made(table), table
    else:
        own = reflect(crm(), named(table))
        columns, full = own.columns.keys(), quoted(crm(), own)
    missing = set(needs) - set(columns)
    if missing:
        say(f"made no view {name}: the table {named(table)} has no {', '.join(sorted(missing))}.")
        return
    practice = prepare.quote(column) if column in columns else "CAST(NULL AS VARCHAR(64))"
    op.execute(f"CREATE VIEW {name} AS {query.format(practice=practice, table=full)}")
    say(f"made the view {name}.")
