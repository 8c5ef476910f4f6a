"""The time window that a run covers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Engine

from ecw.crm.state import cursors
from ecw.models import Run, RunType


def window(
    engine: Engine, practice: str, run_type: str, start: str | None, end: str | None, resources: Iterable[str]
) -> tuple[str | None, str]:
    """Return the run's window, ISO 8601 in UTC, half open.

    A backfill run covers exactly its interval.  Every other run begins where the last one ended, so that one run covers
    an outage; without a last run, it has no lower bound.  A scheduled run ends with its interval.  A run that a person
    or an event started ends now, because its interval from Airflow may have ended up to two hours ago.
    """
    begin = _utc(start)
    until = _utc(end) if run_type in (RunType.SCHEDULED, RunType.BACKFILL) else None
    until = until or datetime.now(UTC)
    if run_type != RunType.BACKFILL:
        reached = [cursors.get(engine, practice, resource) for resource in resources]
        known = [position for position in (*reached, begin) if position is not None]
        # `until` as well: a manual run may have moved the cursor past the interval of a scheduled run that waited.
        begin = None if None in reached else min(*known, until)
    return (None if begin is None else begin.isoformat()), until.isoformat()


def start_of(engine: Engine, run: Run, resource: str) -> str | None:
    """Return the start of a resource's own window in a live run: a failing resource does not affect the others."""
    position = cursors.get(engine, run["practice"], resource)
    return None if position is None else min(position, datetime.fromisoformat(run["window_end"])).isoformat()


def own_window(run: Run, start: str | None) -> Run:
    """Return a copy of the run with the start that the plan has for one resource."""
    return {**run, "window_start": start}


def _utc(text: str | None) -> datetime | None:
    """Return a time in UTC; Airflow renders it with a space and an offset, and a missing one as "" or "None"."""
    if not text or text == "None":
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
