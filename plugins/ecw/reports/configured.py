"""The practices of this Airflow as pages and metrics measure them: each by its own schedule, thresholds and quota."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ecw.alerts.settings import settings
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.reports.sync_state import Clock
from ecw.settings import connections
from ecw.settings.practice import Practice
from ecw.settings.practices import VARIABLE, known
from ecw.settings.schedule import cron, gaps, resources

CALLS_PER_MINUTE = 250  # where no connection says another number


def configured() -> list[tuple[str, Practice]]:
    """Return each practice with its code, "" where its connection is missing or does not say it.

    Raises ConfigurationError for a file or a Variable of practices that is wrong.
    """
    return [(_code(each), each) for each in known(connections.variable(VARIABLE) or "")]


def clocks_of(practices: Mapping[str, Practice | None], now: datetime) -> dict[str, Clock]:
    """Return what each practice's ages are measured against, by the same key; of None, what holds for all.

    What several practices share is read once: each Variable is a query of Airflow's database.
    Raises ConfigurationError.
    """
    read: dict[tuple[str, object], Any] = {}

    def once(what: str, own: object, make: Callable[[Practice | None], Any], practice: Practice | None) -> Any:
        key = (what, repr(own))
        if key not in read:
            read[key] = make(practice)
        return read[key]

    def clock(practice: Practice | None) -> Clock:
        own = practice or Practice("")
        return Clock(
            now,
            once("schedule", own.schedule, lambda one: gaps(cron(one)).longest, practice),
            once("alerts", own.alerts, lambda one: settings(one).thresholds.stale_intervals, practice),
            once("resources", own.resources, lambda one: tuple(resources(one)), practice),
        )

    return {key: clock(practice) for key, practice in practices.items()}


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
