"""The state of each practice as Airflow's own metrics (StatsD, OpenTelemetry, DataDog): gauges of ages and counts.

Each gauge is sent twice, as Airflow sends its own metrics: `ecw.age_seconds` with the tags practice and resource, and,
for a StatsD without tags, with the tags' values behind the name: `ecw.age_seconds.DEMO01.patient`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ecw.reports.sync_state import Clock, PracticeState

log = logging.getLogger(__name__)
CALLS_OVER = timedelta(minutes=30)  # the monitor's interval
PUSHED_OVER = timedelta(days=1)
METRICS = {
    "ecw.age_seconds": "seconds since the last good sync of a resource",
    "ecw.late": "1 while a resource is overdue by the schedule, else 0",
    "ecw.records": "records of a resource's last run, by outcome: fetched, rejected, inserted, updated, unchanged",
    "ecw.rejects_open": "open rejects",
    "ecw.unmapped": "records rejected for a code that no crosswalk has",
    "ecw.conflicts_open": "conflicts that wait for a decision",
    "ecw.matches_held": "held patients that wait for a decision",
    "ecw.pushes_unknown": "pushes without a known outcome",
    "ecw.pushes_decided": "decided records that the next push sends",
    "ecw.calls": "calls of the last 30 minutes, by kind: on_demand, scheduled, backfill, refused (answers 429)",
    "ecw.calls_per_minute_max": "calls of the busiest of the last 30 minutes",
    "ecw.calls_per_minute_limit": "calls per minute that the practice's connection allows",
    "ecw.pushed": "patients that were pushed in the last day, by status",
}

# The functions import what they need: a DAG file imports this module, and Airflow parses it twice a minute.


class Gauge(NamedTuple):
    """One number; the tags have the order of their values behind the name."""

    name: str
    value: float
    tags: dict[str, str]


def emit(crm_conn_id: str = "crm_default") -> int:
    """Send the gauges of a CRM's practices to Airflow's metrics; return the number of gauges.

    If Airflow's metrics are off, Airflow drops the gauges.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    from airflow.sdk.observability.stats import gauge, normalize_name_for_stats

    from ecw.crm.db.engine import open_crm, reading
    from ecw.reports import sync_state
    from ecw.reports.configured import calls_per_minute, clocks_of, configured

    now = datetime.now(UTC)
    of_crm = {code: practice for code, practice in configured() if practice.crm_connection == crm_conn_id}
    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        names = sync_state.practices(connection)
        clocks = clocks_of({name: of_crm.get(name) for name in names}, now)
        to_send = list(gauges(connection, clocks, {name: calls_per_minute(of_crm.get(name)) for name in names}))
    for name, value, tags in to_send:
        gauge(name, value, tags=tags)
        parts = [normalize_name_for_stats(part.replace(".", "__"), log_warning=False) for part in tags.values()]
        gauge(".".join([name, *parts]), value)
    log.info("Sent %d gauges to Airflow's metrics.", len(to_send))
    return len(to_send)


def gauges(connection: Connection, clocks: Mapping[str, Clock], limits: Mapping[str, int]) -> Iterator[Gauge]:
    """Yield the gauges of practices; `clocks` and `limits` (calls per minute) have one entry for each practice."""
    from ecw.reports import sync_state

    for state in sync_state.states(connection, clocks):
        yield from _of_resources(state)
        yield from _of_practice(connection, state.practice, clocks[state.practice].now)
        yield Gauge("ecw.calls_per_minute_limit", limits[state.practice], {"practice": state.practice})


def _of_resources(state: PracticeState) -> Iterator[Gauge]:
    for one in state.resources:
        tags = {"practice": state.practice, "resource": one.resource}
        if one.age_seconds is not None:
            yield Gauge("ecw.age_seconds", round(one.age_seconds), tags)
        yield Gauge("ecw.late", int(one.late), tags)
        waiting = {
            **{"rejects_open": one.open_rejects, "unmapped": one.unmapped, "conflicts_open": one.conflicts},
            **{"matches_held": one.held, "pushes_unknown": one.unknown},
            "pushes_decided": one.decided,
        }
        for name, number in waiting.items():
            yield Gauge(f"ecw.{name}", number, tags)
        for outcome in ("fetched", "rejected", "inserted", "updated", "unchanged"):
            count = getattr(one.last_run, outcome, None)
            if count is not None:
                yield Gauge("ecw.records", count, tags | {"outcome": outcome})


def _of_practice(connection: Connection, practice: str, now: datetime) -> Iterator[Gauge]:
    from ecw.reports import charts

    tags = {"practice": practice}
    minutes = [each for each in charts.calls(connection, practice, now) if each.at > now - CALLS_OVER]
    for kind in ("on_demand", "scheduled", "backfill", "refused"):
        yield Gauge("ecw.calls", sum(getattr(each, kind) for each in minutes), tags | {"kind": kind})
    most = max(each.on_demand + each.scheduled + each.backfill for each in minutes)
    yield Gauge("ecw.calls_per_minute_max", most, tags)
    pushed: dict[str, int] = {}
    for point in charts.pushes(connection, practice, now):
        if point.at > now - PUSHED_OVER:
            status = point.status or "not begun"
            pushed[status] = pushed.get(status, 0) + point.patients
    for status, number in pushed.items():
        yield Gauge("ecw.pushed", number, tags | {"status": status})
