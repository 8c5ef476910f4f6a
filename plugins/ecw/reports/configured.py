"""The configured practices, for pages and metrics: each with its own schedule, thresholds and quota."""

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

CALLS_PER_MINUTE = 250  # if the connection does not set calls_per_minute


def configured() -> list[tuple[str, Practice]]:
    """Return each practice with its code; the code is "" if its connection is missing or has no valid address.

    Raises ConfigurationError if include/practices.yaml or the Variable of practices is wrong.
    """
    return [(_code(each), each) for each in known(connections.variable(VARIABLE) or "")]


def clocks_of(practices: Mapping[str, Practice | None], now: datetime) -> dict[str, Clock]:
    """Return the clock of each practice, under the same key; for None, the clock of the common settings.

    Settings that several practices share are read once, because each Variable is a query of Airflow's database.
    Raises ConfigurationError.
    """
    cache: dict[tuple[str, object], Any] = {}

    def once(name: str, own: object, read: Callable[[Practice | None], Any], practice: Practice | None) -> Any:
        key = (name, repr(own))
        if key not in cache:
            cache[key] = read(practice)
        return cache[key]

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
            limit = connections.get(practice.connection).extra_dejson.get("calls_per_minute")
            return int(limit or CALLS_PER_MINUTE)
        except (ConfigurationError, ValueError, TypeError):
            pass  # Test Connection reports it
    return CALLS_PER_MINUTE


def _code(practice: Practice) -> str:
    try:
        return practice_of(base_url_of(connections.get(practice.connection)))
    except ConfigurationError:  # Test Connection reports it; a page still shows the other practices
        return ""
