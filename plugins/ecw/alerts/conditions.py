"""What is wrong now, computed from the ledger, the cursor and the quarantine; ids and counts only."""

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
from ecw.crm.state import baselines
from ecw.crm.state import runs as ledger
from ecw.errors import CountMismatch, QualityGateFailed
from ecw.settings.base import OPTIONS, option

Threshold = Annotated[float, Field(gt=0, lt=1e6)]


@model(frozen=True, slots=True, config=OPTIONS)
class Thresholds:
    """From when on something is wrong."""

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
    """One thing that is wrong.  Practice, kind and subject identify it."""

    practice: str
    kind: str
    subject: str
    message: str
    next_step: str
    run_id: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two facts the same."""
        return self.practice, self.kind, self.subject


_Found = tuple[str, str, str, str | None]  # kind, message, next move, run


@dataclass(frozen=True, slots=True)
class Watched:
    """One practice: how often what is pulled, from when on something is wrong, and who is to know."""

    practice: str
    every: timedelta
    resources: Collection[str]
    limits: Thresholds
    targets: Collection[str] = ()


def facts(connection: Connection, now: datetime, watched: Watched) -> list[Fact]:
    """Return all that is wrong with a practice."""
    practice, every, limits = watched.practice, watched.every, watched.limits
    return [
        Fact(practice, kind, resource, message, next_step, run_id)
        for resource in watched.resources
        for kind, message, next_step, run_id in _of(connection, practice, resource, now, every, limits)
    ]


def _of(
    connection: Connection, practice: str, resource: str, now: datetime, every: timedelta, limits: Thresholds
) -> Iterator[_Found]:
    found = (
        _stale(connection, practice, resource, now, limits.stale_intervals * every),
        _broken(connection, practice, resource),
        _stopped(connection, practice, resource),
        _fewer(connection, practice, resource, limits),
        _rejected(connection, practice, resource, limits),
    )
    yield from (each for each in found if each is not None)


def _runs(practice: str, resource: str) -> Select[tuple[object, ...]]:
    return (
        select(ecw_run)
        .where(ecw_run.c.practice == practice, ecw_run.c.resource == resource)
        .order_by(ecw_run.c.started_at.desc(), ecw_run.c.run_id.desc())
    )


def _refreshed(connection: Connection, practice: str, resource: str) -> datetime | None:
    """Return when a run last brought all that was due; a backfill and a run about single records do not."""
    moved = select(ecw_cursor.c.moved_at).filter_by(practice=practice, resource=resource)
    return connection.execute(moved).scalar()


def _stale(connection: Connection, practice: str, resource: str, now: datetime, longest: timedelta) -> _Found | None:
    refreshed = _refreshed(connection, practice, resource)
    runs = select(func.min(ecw_run.c.started_at)).filter_by(practice=practice, resource=resource)
    began = runs.where(ecw_run.c.state != ledger.DRY)
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


def _broken(connection: Connection, practice: str, resource: str) -> _Found | None:
    ended = _runs(practice, resource).where(
        (ecw_run.c.state == ledger.LOADED)
        | ((ecw_run.c.state == ledger.FAILED) & ecw_run.c.error.startswith(CountMismatch.__name__))
    )
    last = _first(connection, ended)
    if last is None:
        return None
    what = f"The numbers of {resource} do not add up"
    if last["state"] == ledger.LOADED:
        try:
            ledger.numbers_of(last).verified()
        except CountMismatch:
            what += f": {ledger.numbers_of(last)}"
        else:
            return None
    return "equation", f"{what}.", "report them with the log of its load, and clear the resource.", last["run_id"]


def _stopped(connection: Connection, practice: str, resource: str) -> _Found | None:
    """Say that a quality rule let nothing enter, such as the suite's own rule about the volume."""
    live = _runs(practice, resource).where(
        ledger.is_live(),
        ecw_run.c.ended_at.is_not(None),
        ecw_run.c.state != ledger.DRY,
    )
    last = _first(connection, live.where(ecw_run.c.error.startswith(QualityGateFailed.__name__)))
    refreshed = _refreshed(connection, practice, resource)
    if last is None or (refreshed is not None and refreshed >= last["ended_at"]):
        return None
    move = "read the log of its check, then fix the data, the mapping or the suite, and clear the resource."
    return "stopped", f"A quality rule stopped {resource}: nothing entered.", move, last["run_id"]


def _fewer(connection: Connection, practice: str, resource: str, limits: Thresholds) -> _Found | None:
    """Compare the last run with what the check compares it with: those that saw as much."""
    seen = baselines.last(connection, practice, resource)
    if seen is None:
        return None
    full_scan = bool(seen.full_scan)
    before = baselines.before(connection, practice, resource, seen.run_id, full_scan=full_scan, strategy=seen.strategy)
    usual = (
        baselines.number(before, seen.patients_queried, full_scan=full_scan)
        if len(before) >= baselines.LEAST_RUNS
        else None
    )
    if not usual or seen.records > usual * (1 - limits.volume_drop_percent / 100):
        return None
    message = f"eCW gave {seen.records} records of {resource}; {usual} are usual."
    return "volume", message, "ask the practice whether records were removed, or access to them.", seen.run_id


def _rejected(connection: Connection, practice: str, resource: str, limits: Thresholds) -> _Found | None:
    """Compare the open rejects with all records, so that a run about a single one changes nothing."""
    here = {"practice": practice, "resource": resource}
    is_open = (ecw_reject.c.state == RejectState.OPEN) & (ecw_reject.c.rule != DELETED)
    rejects = select(func.count(ecw_reject.c.ecw_id.distinct())).filter_by(**here).where(is_open)
    rejected = int(connection.execute(rejects).scalar_one())
    if not rejected or rejected < limits.reject_least:
        return None
    refused = select(ecw_reject.c.ecw_id).filter_by(**here).where(is_open)
    links = select(func.count()).select_from(ecw_link).filter_by(**here).where(ecw_link.c.ecw_id.not_in(refused))
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


def _first(connection: Connection, runs: Select[tuple[object, ...]]) -> RowMapping | None:
    return connection.execute(runs.limit(1)).mappings().one_or_none()


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
