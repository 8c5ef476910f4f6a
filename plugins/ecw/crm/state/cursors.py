"""The cursors: the time up to which the live runs have loaded a resource."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_cursor
from ecw.crm.db.upsert import upsert
from ecw.models import Run, RunType


def get(engine: Engine, practice: str, resource: str) -> datetime | None:
    """Return the time up to which everything is loaded without a gap, None before the first load."""
    with reading(engine) as connection:
        return _position(connection, practice, resource)


def move(connection: Connection, run: Run, resource: str) -> None:
    """Move the cursor to the end of the run's window, inside the load's transaction.

    Never backwards, never for a backfill run, and never over a gap: a run that begins after the cursor covers its own
    window and leaves the rest to the next scheduled run. Without a cursor a scheduled run always sets it, because its
    window begins at the configured look-back; any other run sets it only if its window has no lower bound.
    """
    start, end = run["window_start"], datetime.fromisoformat(run["window_end"])
    position = _position(connection, run["practice"], resource)
    if run["run_type"] == RunType.BACKFILL:
        return
    if position is None:
        contiguous = start is None or run["run_type"] == RunType.SCHEDULED
    else:
        contiguous = end > position and (start is None or datetime.fromisoformat(start) <= position)
    if contiguous:
        upsert(
            connection,
            ecw_cursor,
            {"practice": run["practice"], "resource": resource},
            {"position": end, "run_id": run["run_id"], "moved_at": datetime.now(UTC)},
        )


def _position(connection: Connection, practice: str, resource: str) -> datetime | None:
    return connection.execute(
        select(ecw_cursor.c.position).where(ecw_cursor.c.practice == practice, ecw_cursor.c.resource == resource)
    ).scalar()
