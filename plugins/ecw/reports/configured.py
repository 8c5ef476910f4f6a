"""The practices of this Airflow as pages and metrics measure them: each by its own schedule, thresholds and quota."""

from __future__ import annotations

from datetime import datetime

from ecw.alerts.settings import schedule, settings
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.reports.sync_state import Clock
from ecw.settings import connections
from ecw.settings.practice import Practice
from ecw.settings.practices import VARIABLE, known

CALLS_PER_MINUTE = 250  # where no connection says another number


def configured() -> list[tuple[str, Practice]]:
    """Return each practice with its code, "" where its connection is missing or does not say it.

    Raises ConfigurationError for a file or a Variable of practices that is wrong.
    """
    return [(_code(each), each) for each in known(connections.variable(VARIABLE) or "")]


def clock_of(practice: Practice | None, now: datetime) -> Clock:
    """Return what a practice's ages are measured against; without one, what holds for all.

    Raises ConfigurationError.
    """
    every, resources = schedule(practice)
    return Clock(now, every, settings(practice).thresholds.stale_intervals, tuple(resources))


def calls_per_minute(practice: Practice | None) -> int:
    """Return the calls a minute that a practice's connection permits."""
    if practice is not None:
        try:
            said = connections.get(practice.connection).extra_dejson.get("calls_per_minute")
            return int(said or CALLS_PER_MINUTE)
        except (ConfigurationError, ValueError, TypeError):
            pass  # Test Connection explains it
    return CALLS_PER_MINUTE


def _code(practice: Practice) -> str:
    try:
        return practice_of(base_url_of(connections.get(practice.connection)))
    except ConfigurationError:  # Test Connection explains it; a page is about the others, too
        return ""
