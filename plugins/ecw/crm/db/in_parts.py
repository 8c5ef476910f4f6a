"""Writing into the CRM's table, of which the CRM may refuse rows: those are rejects, and the others are written.

All rows are written by a few statements.  Where the database refuses one, the statements are taken back and done again
for each half, down to the row that is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, text

from ecw.crm.db.errors import translated
from ecw.errors import CrmSchemaError, RowRefused

Item = TypeVar("Item")
MOST = 10_000  # rows refused in one batch: more are a mistake of the mapping or the table, not of records


def in_parts(
    connection: Connection, items: Callable[[], Sequence[Item]], write: Callable[[Sequence[Item] | None], None]
) -> dict[Item, RowRefused]:
    """Write all that the CRM takes; return what it refuses, and why.

    `write` gets the items to write, in their order, None for all of them; it raises RowRefused.  `items` is only asked
    where something is refused.  Raises CrmSchemaError where that is more than MOST.
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
            parts += [part[half:], part[:half]]  # the first half first: of two rows alike, the first is written
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
                # What a constraint would find at the commit, it finds now.
                connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    except RowRefused as error:
        savepoint.rollback()
        return error
    savepoint.commit()
    return None
