"""The practices of a CRM: which server each code means, and which of them share its tables."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, Table, select, update

from ecw.crm.db.tables import ecw_intent, ecw_link, ecw_practice, ecw_push_item
from ecw.crm.db.upsert import insert
from ecw.errors import ConfigurationError


def require(connection: Connection, practice: str, base_url: str) -> None:
    """Raise ConfigurationError where this CRM knows the practice code from another server: that is another practice."""
    known = connection.scalar(select(ecw_practice.c.base_url).filter_by(practice=practice))
    if known not in (None, base_url):
        raise ConfigurationError(
            f"In this CRM the practice code {practice} means {known}, and the connection says {base_url}.",
            next_move="give each practice a CRM database of its own, or correct the connection; where eCW has moved "
            "the practice to another address, say so with `ecw practice moved`.",
        )


def claim(connection: Connection, practice: str, base_url: str) -> None:
    """Note which server the practice code means, the first time, in the caller's transaction.

    Raises ConfigurationError where it means another one.
    """
    row = {"practice": practice, "base_url": base_url, "since": datetime.now(UTC)}
    connection.execute(insert(connection, ecw_practice).values(row).on_conflict_do_nothing())
    require(connection, practice, base_url)


def move(connection: Connection, practice: str, base_url: str) -> str | None:
    """Note that a practice is at another address now; return the one before, None where nothing was known of it."""
    before: str | None = connection.scalar(select(ecw_practice.c.base_url).filter_by(practice=practice))
    now = {"base_url": base_url, "since": datetime.now(UTC)}
    connection.execute(update(ecw_practice).filter_by(practice=practice).values(now))
    return before


def known(connection: Connection) -> list[tuple[str, str]]:
    """Return the practices and their addresses."""
    statement = select(ecw_practice.c.practice, ecw_practice.c.base_url).order_by(ecw_practice.c.practice)
    return [(row.practice, row.base_url) for row in connection.execute(statement)]


def linked_beside(connection: Connection, practice: str, resource: str) -> str | None:
    """Return another practice that has links to the same table's rows, None where there is none."""
    return _another(connection, ecw_link, practice, resource)


def pushing_beside(connection: Connection, practice: str, resource: str) -> str | None:
    """Return another practice that was pushed from this CRM, or is about to be; None where there is none."""
    return _another(connection, ecw_intent, practice, resource) or _another(
        connection, ecw_push_item, practice, resource
    )


def _another(connection: Connection, table: Table, practice: str, resource: str) -> str | None:
    # Two ranges of the key instead of <>, which would walk all rows of our own.
    for other in (table.c.practice < practice, table.c.practice > practice):
        statement = select(table.c.practice).where(other, table.c.resource == resource).limit(1)
        if found := connection.scalar(statement):
            return str(found)
    return None
