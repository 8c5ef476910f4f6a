"""Find what is wrong now, from the tables of runs, cursors, links and rejects; ids and counts only."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as model
from sqlalchemy import Connection, RowMapping, Select, func, select

from ecw.crm.db.enums import DELETED, RejectState
from ecw.crm.db.tables import ecw_cursor, ecw_link, ecw_reject, ecw_run
from ecw.crm.state import baselines, runs
from ecw.errors import CountMismatch, QualityGateFailed
from ecw.settings.base import OPTIONS, option

Threshold = Annotated[float, Field(gt=0, lt=1e6)]


@model(frozen=True, slots=True, config=OPTIONS)
class Thresholds:
    """When a condition becomes an alert."""

    stale_intervals: Threshold = option(3, "alert after this many scheduled runs in a row without a load")
    reject_percent: Threshold = option(
        5, "alert at this percentage of rejected records; reject_least must be reached as well"
    )
    reject_least: Threshold = option(
        20, "alert at this number of rejected records; reject_percent must be reached as well"
    )
    volume_drop_percent: Threshold = option(50, "alert if a run has this percentage fewer records than usual")


@dataclass(frozen=True, slots=True)
class Fact:
    """One condition that needs a person.  Practice, kind and subject identify it."""

    practice: str
    kind: str
    subject: str
    message: str
    next_step: str
    run_id: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what identifies the fact: practice, kind and subject."""
        return self.practice, self.kind, self.subject


_Finding = tuple[str, str, str, str | None]  # kind, message, next step, run


@dataclass(frozen=True, slots=True)
class Monitored:
    """One practice: the pull's interval, its resources, the thresholds, and the targets of notifications."""

    practice: str
    every: timedelta
    resources: Collection[str]
    limits: Thresholds
    targets: Collection[str] = ()


def facts(connection: Connection, now: datetime, monitored: Monitored) -> list[Fact]:
    """Return all conditions of a practice that need a person."""
    practice, every, limits = monitored.practice, monitored.every, monitored.limits
    return [
        Fact(practice, kind, resource, message, next_step, run_id)
        for resource in monitored.resources
        for kind, message, next_step, run_id in _findings(connection, practice, resource, now, every, limits)
    ]


def _findings(
    connection: Connection, practice: str, resource: str, now: datetime, every: timedelta, limits: Thresholds
) -> Iterator[_Finding]:
    findings = (
        _stale(connection, practice, resource, now, limits.stale_intervals * every),
        _count_mismatch(connection, practice, resource),
        _stopped(connection, practice, resource),
        _fewer(connection, practice, resource, limits),
        _rejected(connection, practice, resource, limits),
    )
    yield from (each for each in findings if each is not None)


def _runs(practice: str, resource: str) -> Select[tuple[object, ...]]:
    return (
        select(ecw_run)
        .where(ecw_run.c.practice == practice, ecw_run.c.resource == resource)
        .order_by(ecw_run.c.started_at.desc(), ecw_run.c.run_id.desc())
    )


def _refreshed(connection: Connection, practice: str, resource: str) -> datetime | None:
    """Return when the cursor last moved; a backfill and a run about single records do not move it."""
    moved = select(ecw_cursor.c.moved_at).filter_by(practice=practice, resource=resource)
    return connection.execute(moved).scalar()


def _stale(connection: Connection, practice: str, resource: str, now: datetime, longest: timedelta) -> _Finding | None:
    refreshed = _refreshed(connection, practice, resource)
    first_start = select(func.min(ecw_run.c.started_at)).filter_by(practice=practice, resource=resource)
    began = first_start.where(ecw_run.c.state != runs.DRY)
    since = refreshed or connection.execute(began).scalar()
    if since is None or now - since <= longest:
        return None
    what = f"last refreshed {_at(since)}" if refreshed else f"never refreshed since its first run, {_at(since)}"
    return (
        "stale",
        f"{resource} was {what}.",
        "see that Airflow's scheduler runs and ecw_pull is not paused, then read `ecw status` and its last run.",
        None,
    )


def _count_mismatch(connection: Connection, practice: str, resource: str) -> _Finding | None:
    ended = _runs(practice, resource).where(
        (ecw_run.c.state == runs.LOADED)
        | ((ecw_run.c.state == runs.FAILED) & ecw_run.c.error.startswith(CountMismatch.__name__))
    )
    last = _first(connection, ended)
    if last is None:
        return None
    what = f"The numbers of {resource} do not add up"
    if last["state"] == runs.LOADED:
        try:
            runs.numbers_of(last).verified()
        except CountMismatch:
            what += f": {runs.numbers_of(last)}"
        else:
            return None
    return "equation", f"{what}.", "report them with the log of its load, and clear the resource.", last["run_id"]


def _stopped(connection: Connection, practice: str, resource: str) -> _Finding | None:
    """Return a finding if a quality rule stopped the load, such as the suite's own rule about the volume."""
    live = _runs(practice, resource).where(
        runs.is_live(),
        ecw_run.c.ended_at.is_not(None),
        ecw_run.c.state != runs.DRY,
    )
    last = _first(connection, live.where(ecw_run.c.error.startswith(QualityGateFailed.__name__)))
    refreshed = _refreshed(connection, practice, resource)
    if last is None or (refreshed is not None and refreshed >= last["ended_at"]):
        return None
    next_step = "read the log of its check, then fix the data, the mapping or the suite, and clear the resource."
    return "stopped", f"A quality rule stopped {resource}: nothing was loaded.", next_step, last["run_id"]


def _fewer(connection: Connection, practice: str, resource: str, limits: Thresholds) -> _Finding | None:
    """Compare the last run with the runs that the quality check uses: those that covered as many records."""
    last = baselines.last(connection, practice, resource)
    if last is None:
        return None
    full_scan = bool(last.full_scan)
    before = baselines.before(connection, practice, resource, last.run_id, full_scan=full_scan, strategy=last.strategy)
    usual = (
        baselines.number(before, last.patients_queried, full_scan=full_scan)
        if len(before) >= baselines.LEAST_RUNS
        else None
    )
    if not usual or last.records > usual * (1 - limits.volume_drop_percent / 100):
        return None
    message = f"eCW gave {last.records} records of {resource}; {usual} are usual."
    return "volume", message, "ask the practice whether records were removed, or access to them.", last.run_id


def _rejected(connection: Connection, practice: str, resource: str, limits: Thresholds) -> _Finding | None:
    """Compare the open rejects with all known records, so that a run about one record does not change the result."""
    scope = {"practice": practice, "resource": resource}
    is_open = (ecw_reject.c.state == RejectState.OPEN) & (ecw_reject.c.rule != DELETED)
    rejects = select(func.count(ecw_reject.c.ecw_id.distinct())).filter_by(**scope).where(is_open)
    rejected = int(connection.execute(rejects).scalar_one())
    if not rejected or rejected < limits.reject_least:
        return None
    rejected_ids = select(ecw_reject.c.ecw_id).filter_by(**scope).where(is_open)
    links = select(func.count()).select_from(ecw_link).filter_by(**scope).where(ecw_link.c.ecw_id.not_in(rejected_ids))
    known = rejected + int(connection.execute(links).scalar_one())
    percent = 100 * rejected / known
    if percent < limits.reject_percent:
        return None
    message = f"{rejected} of {known} records of {resource} are rejected ({percent:.0f} %)."
    return (
        "rejects",
        message,
        "`ecw status` names the rules and columns; fix the data, the mapping or a crosswalk.",
        None,
    )


def _first(connection: Connection, statement: Select[tuple[object, ...]]) -> RowMapping | None:
    return connection.execute(statement.limit(1)).mappings().one_or_none()


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
