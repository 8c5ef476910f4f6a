"""Which span of time a run covers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Engine

from ecw.crm.state import cursors
from ecw.models import Run


def window(
    engine: Engine, practice: str, run_type: str, start: str | None, end: str | None, resources: Iterable[str]
) -> tuple[str | None, str]:
    """Return the run's window, ISO 8601 in UTC, half open.

    A backfill run covers exactly its interval.  Every other run begins where the last one ended, so that an outage
    heals in one run; without a last one, it has no lower bound.  A scheduled run ends with its interval, one that a
    person or an event started ends now: the interval that Airflow gives it is over since up to two hours.
    """
    asked = _utc(start)
    until = _utc(end) if run_type in ("scheduled", "backfill") else None
    until = until or datetime.now(UTC)
    if run_type != "backfill":
        reached = [cursors.get(engine, practice, resource) for resource in resources]
        known = [position for position in (*reached, asked) if position is not None]
        # A run by hand may have got further than the interval of a scheduled one that had to wait for it.
        asked = None if None in reached else min(*known, until)
    return (None if asked is None else asked.isoformat()), until.isoformat()


def start_of(engine: Engine, run: Run, resource: str) -> str | None:
    """Return where a resource's part of a live run begins: one that keeps failing does not hold the others back."""
    position = cursors.get(engine, run["practice"], resource)
    return None if position is None else min(position, datetime.fromisoformat(run["window_end"])).isoformat()


def own_window(run: Run, start: str | None) -> Run:
    """Return the run as one resource sees it: with the start that the plan says for the resource."""
    return {**run, "window_start": start}


def _utc(text: str | None) -> datetime | None:
    """Read a time; Airflow renders its own with a space and an offset, and a missing one as an empty text."""
    if not text or text == "None":
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
