"""Write rows into the CRM's table although the database may refuse some: find the refused rows, and write the others.

All rows are written by a few statements.  If the database refuses one, the statements are rolled back and repeated for
each half of the rows, until the refused row is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, text

from ecw.crm.db.errors import translated
from ecw.errors import CrmSchemaError, RowRefused

Item = TypeVar("Item")
MOST = 10_000  # refused rows in one batch: more are a mistake in the mapping or the table, not in records


def in_parts(
    connection: Connection, items: Callable[[], Sequence[Item]], write: Callable[[Sequence[Item] | None], None]
) -> dict[Item, RowRefused]:
    """Write all items that the database takes; return the refused ones with their errors.

    `write` gets the items to write, in order, or None for all; it raises RowRefused.  `items` is only called if an item
    is refused.  Raises CrmSchemaError if more than MOST are.
    """
    if _attempt(connection, write, None) is None:
        return {}
    refused: dict[Item, RowRefused] = {}
    parts: list[Sequence[Item]] = [items()]
    while parts:
        part = parts.pop()
        if not part or (error := _attempt(connection, write, part)) is None:
            continue
        if len(part) > 1:
            half = len(part) // 2
            parts += [part[half:], part[:half]]  # the first half first: of two equal rows the first is written
            continue
        refused[part[0]] = error
        if len(refused) > MOST:
            raise CrmSchemaError(
                f"The CRM refuses more than {MOST} rows of this batch; the last one because {error.reason}.",
                next_step="compare the CRM's constraints and triggers with the mapping file, fix one of them, and run "
                "the task again; nothing was written.",
            )
    return refused


def _attempt(
    connection: Connection, write: Callable[[Sequence[Item] | None], None], part: Sequence[Item] | None
) -> RowRefused | None:
    savepoint = connection.begin_nested()
    try:
        with translated():
            write(part)
            if connection.dialect.name == "postgresql":
                # Deferred constraints are checked now, not at the commit.
                connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    except RowRefused as error:
        savepoint.rollback()
        return error
    savepoint.commit()
    return None
