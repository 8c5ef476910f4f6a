"""What the migrations share: tables that may already be the CRM's own, and saying what was done."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from alembic import op

from ecw.crm.db.business_table import practice_column
from ecw.crm.db.schema.reflection import key_of, reflect


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


def _attributes() -> dict[Any, Any]:
    config = op.get_context().config
    return {} if config is None else config.attributes


def key() -> sa.Column[int]:
    """Return the key column of a table that we make."""
    # On SQLite only a column declared INTEGER gives keys, and only AUTOINCREMENT never gives one twice.
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def business_table(name: str, *columns: sa.Column[Any]) -> bool:
    """Create a business table with a key of its own, an indexed eCW id and the practice whose row it is, unless the CRM
    has one of that name.

    Return True if it was created.
    """
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


def reference(name: str, table: str, *, nullable: bool = True) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return the column of a reference, and beside it the one for the key of the row that it means.

    That key has the type that the other table has, which may be the CRM's own.  Raises CrmSchemaError where that one
    has no key by which a row can be named.
    """
    kind = key().type if made(table) else key_of(reflect(crm(), table)).type
    return sa.Column(name, sa.Text, nullable=nullable), sa.Column(f"{name}_id", kind)


def view(name: str, table: str, needs: Collection[str], query: str) -> None:
    """Create a view over a business table, unless the name is taken or the CRM's table lacks a column that it needs.

    `{practice}` in the query stands for the column that says whose a row is.
    """
    found = sa.inspect(crm())
    if found.has_table(name) or name in found.get_view_names():
        say(f"left {name} as it is: it is the CRM's own.")
        return
    missing = set(needs) - set(made(table) or (column["name"] for column in found.get_columns(table)))
    if missing:
        say(f"made no view {name}: the table {table} has no {', '.join(sorted(missing))}.")
        return
    practice = op.get_bind().dialect.identifier_preparer.quote(practice_column(crm()))
    op.execute(f"CREATE VIEW {name} AS {query.format(practice=practice)}")
    say(f"made the view {name}.")
