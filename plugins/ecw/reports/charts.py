"""The numbers of the Overview's charts for one practice: runs, calls, pushes, age of the insurance.  Counts only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from ecw.crm.db.tables import UtcTime, ecw_checked, ecw_initial_sync, ecw_push_item, ecw_quota, ecw_run
from ecw.crm.state.runs import LOADED
from ecw.resources import RESOURCES

DAYS = 14
MINUTES = 60
MOST_POINTS = 5000
INSURANCE = "insurance"
_AGES = (("6 hours", 6), ("1 day", 24), ("3 days", 72), ("1 week", 168))  # up to, in hours
OLDER, NEVER = "older", "never asked"


@dataclass(frozen=True, slots=True)
class RunPoint:
    """What a run changed and rejected, over all resources."""

    run_id: str
    at: datetime
    changed: int
    rejected: int


@dataclass(frozen=True, slots=True)
class PushPoint:
    """How many patients of a push run ended with a status; a status of None means not begun."""

    run_id: str
    at: datetime
    status: str | None
    patients: int


@dataclass(frozen=True, slots=True)
class MinutePoint:
    """The calls of a clock minute by kind of work; `refused` counts responses with status 429."""

    at: datetime
    on_demand: int
    scheduled: int
    backfill: int
    refused: int


@dataclass(frozen=True, slots=True)
class AgePoint:
    """The number of patients whose insurance was last fetched within the time that `label` names."""

    label: str
    patients: int


def runs(connection: Connection, practice: str, now: datetime) -> list[RunPoint]:
    """Return the loaded runs of the last days, the oldest first."""
    r = ecw_run.c
    at = func.min(r.started_at, type_=UtcTime)
    changed, rejected = (func.coalesce(func.sum(part), 0) for part in (r.inserted + r.updated, r.rejected))
    statement = (
        select(r.run_id, at, changed, rejected)
        .where(r.practice == practice, r.resource.in_(list(RESOURCES)), r.started_at >= now - timedelta(days=DAYS))
        .where(r.state == LOADED)
        .group_by(r.run_id)
        .order_by(at)
        .limit(MOST_POINTS)
    )
    return [RunPoint(run, moment, int(new), int(bad)) for run, moment, new, bad in connection.execute(statement)]


def pushes(connection: Connection, practice: str, now: datetime) -> list[PushPoint]:
    """Return the patients of the last days' push runs by status, the oldest run first; without dry runs."""
    p = ecw_push_item.c
    at = func.min(p.planned_at, type_=UtcTime)
    statement = (
        select(p.run_id, at, p.status, func.count())
        .where(p.practice == practice, p.planned_at >= now - timedelta(days=DAYS), p.dry.is_(False))
        .group_by(p.run_id, p.status)
        .order_by(at)
        .limit(MOST_POINTS)
    )
    return [PushPoint(*row) for row in connection.execute(statement)]


def calls(connection: Connection, practice: str, now: datetime) -> list[MinutePoint]:
    """Return the calls of the last hour, one point for each minute."""
    q = ecw_quota.c
    last = int(now.timestamp()) // 60
    minutes: dict[int, dict[str, int]] = {minute: {} for minute in range(last - MINUTES + 1, last + 1)}
    rows = select(q.minute, q.kind, q.calls).where(q.practice == practice, q.minute.in_(list(minutes)))
    for minute, kind, number in connection.execute(rows):
        minutes[minute][kind] = number
    kinds = ("on_demand", "scheduled", "backfill", "refused")
    return [
        MinutePoint(datetime.fromtimestamp(minute * 60, now.tzinfo), **{kind: used.get(kind, 0) for kind in kinds})
        for minute, used in minutes.items()
    ]


def calls_now(connection: Connection, practices: Sequence[str], now: datetime) -> dict[str, int]:
    """Return the calls of the current minute, by practice; a practice without calls is left out."""
    q = ecw_quota.c
    in_minute = (q.practice.in_(practices), q.minute == int(now.timestamp()) // 60, q.kind != "refused")
    rows = connection.execute(select(q.practice, func.sum(q.calls)).where(*in_minute).group_by(q.practice))
    return {practice: int(calls) for practice, calls in rows}


def insurance_ages(connection: Connection, practice: str, now: datetime) -> list[AgePoint]:
    """Return how long ago each patient's insurance was last fetched, as counts.

    The list is empty if insurance is not fetched patient by patient.
    """
    c, i = ecw_checked.c, ecw_initial_sync.c
    patients = select(func.count()).where(c.practice == practice, c.resource == INSURANCE)
    counts: dict[str, int] = {}
    newer = None
    for label, hours in (*_AGES, (OLDER, None)):
        since = None if hours is None else now - timedelta(hours=hours)
        within = patients if since is None else patients.where(c.checked_at >= since)
        counts[label] = connection.scalar(within if newer is None else within.where(c.checked_at < newer)) or 0
        newer = since
    waiting = select(func.count()).select_from(ecw_initial_sync).where(i.practice == practice, i.run_id.is_(None))
    counts[NEVER] = connection.scalar(waiting) or 0
    labels = [*(label for label, _ in _AGES), OLDER, NEVER]
    return [AgePoint(label, counts.get(label, 0)) for label in labels] if any(counts.values()) else []
