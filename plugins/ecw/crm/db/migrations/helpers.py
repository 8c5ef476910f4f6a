"""What the migrations share: tables that may already be the CRM's own, and saying what was done."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from alembic import op

from ecw.crm.db.business_table import practice_column
from ecw.crm.db.schema.reflection import key_of, quoted, reflect
from ecw.errors import CrmSchemaError


def say(sentence: str) -> None:
    """Tell whoever runs the migration what was done."""
    _attributes()["done"].append(sentence)


def crm() -> sa.Connection:
    """Return the connection to look at the database by; `op.get_bind()` writes, or only prints what it would."""
    connection: sa.Connection = _attributes()["connection"]
    return connection


def made(name: str) -> list[str]:
    """Return the columns of a table that this migration has made; none where it has not."""
    columns: list[str] = _attributes()["made"].get(name, [])
    return columns


def named(name: str) -> str:
    """Return the table that the mapping files name in place of a business table; most often that one itself."""
    tables: dict[str, str] = _attributes()["tables"]
    return tables.get(name, name)


def _attributes() -> dict[Any, Any]:
    config = op.get_context().config
    return {} if config is None else config.attributes


def key() -> sa.Column[int]:
    """Return the key column of a table that we make."""
    # On SQLite only a column declared INTEGER gives keys, and only AUTOINCREMENT never gives one twice.
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def business_table(name: str, *columns: sa.Column[Any]) -> bool:
    """Create a business table with a key of its own, an indexed eCW id and the practice whose row it is, unless the CRM
    has one of that name, or the mapping files name another one.

    Return True if it was created.  Raises CrmSchemaError where the table that they name does not exist.
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
        sa.Column("ecw_id", sa.String(64)),
        sa.Column(practice, sa.String(64)),
        *columns,
        sqlite_autoincrement=True,
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


def reference(name: str, table: str, *, nullable: bool = True) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return the column of a reference, and beside it the one for the key of the row that it means.

    That key has the type that the other table has, which may be the CRM's own.  Raises CrmSchemaError where that one
    has no key by which a row can be named.
    """
    kind = key().type if made(table) else key_of(reflect(crm(), named(table))).type
    return sa.Column(name, sa.Text, nullable=nullable), sa.Column(f"{name}_id", kind)


def view(name: str, table: str, needs: Collection[str], query: str) -> None:
    """Create a view over a business table, unless the name is taken or the CRM's table lacks a column that it needs.

    `{table}` in the query stands for the table, `{practice}` for what says whose a row is: a column, or NULL where the
    CRM's own table has none.
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
