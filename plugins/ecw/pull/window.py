"""Which span of time a run covers."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine

from ecw.crm import cursor
from ecw.resources import RESOURCES
from ecw.words import Run


def window(engine: Engine, practice: str, run_type: str, start: str | None, end: str | None) -> tuple[str | None, str]:
    """Return the run's window, ISO 8601 in UTC, half open.

    A backfill run covers exactly its interval.  Every other run begins where the last one ended, so that an outage
    heals in one run; without a last one, it has no lower bound.
    """
    asked = _utc(start)
    until = _utc(end) or datetime.now(UTC)
    if run_type != "backfill":
        reached = [cursor.get(engine, practice, resource) for resource in RESOURCES]
        known = [position for position in (*reached, asked) if position is not None]
        asked = None if None in reached else min(known)
    return (None if asked is None else asked.isoformat()), until.isoformat()


def start_of(engine: Engine, run: Run, resource: str) -> str | None:
    """Return where a resource's part of the run begins: one that keeps failing does not hold the others back."""
    if run["run_type"] == "backfill":
        return run["window_start"]
    position = cursor.get(engine, run["practice"], resource)
    return None if position is None else position.isoformat()


def _utc(text: str | None) -> datetime | None:
    """Read a time; Airflow renders its own with a space and an offset, and a missing one as an empty text."""
    if not text or text == "None":
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
