"""The state of everything in one answer: what the Overview shows first, and what another system can poll."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter

from ecw.alerts.settings import schedule, settings
from ecw.reports import sync_state
from ecw.reports.sync_state import Clock, PracticeState
from ecw.ui.access import READ
from ecw.ui.api.query import Practice
from ecw.ui.page import crm

router = APIRouter(dependencies=[READ])


@dataclass(frozen=True, slots=True)
class Status:
    """All practices, or the one that was asked for; `interval_seconds` is the longest time between scheduled runs."""

    at: datetime
    interval_seconds: float
    scheduled: list[str]
    practices: list[PracticeState]


def clock() -> Clock:
    """Return the present, and the schedule and thresholds of the Variables."""
    return Clock(datetime.now(UTC), schedule()[0], settings().thresholds.stale_intervals)


@router.get("/status")
def status(practice: Practice = "") -> Status:
    """Return ages, last runs and counts of what waits."""
    time = clock()
    with crm() as connection:
        names = [name for name in sync_state.practices(connection) if practice in ("", name)]
        found = sync_state.states(connection, names, time)
    return Status(time.now, time.every.total_seconds(), list(schedule()[1]), found)
