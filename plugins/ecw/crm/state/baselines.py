"""Which runs are comparable with a given one, and how many records such runs usually find."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median_high
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, func, or_, select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_run
from ecw.crm.state.runs import LOADED
from ecw.models import Run, RunType
from ecw.resources import StrategyName

RUNS = 5  # with so many runs a single bad one does not change the median
LEAST_RUNS = 3  # partial runs that a usual number needs
# Partial runs with fewer records or patients vary too much: half of the usual number could be chance.
LEAST_RECORDS = 20
LEAST_PATIENTS = 50
# Scheduled runs by these strategies cover parts of similar size: a calendar of a fixed length, a share of the patients.
ALIKE = (StrategyName.SCHEDULE, StrategyName.PER_PATIENT)


class Seen(NamedTuple):
    """How much a run found. `records` are those that eCW has, without loaded deferred rows and deleted records."""

    run_id: str
    records: int
    patients_queried: int | None  # patients who were queried one by one
    full_scan: bool | None
    strategy: str | None
    deleted_since: int = 0  # after a full scan: records that later, loaded runs found deleted


def last(connection: Connection, practice: str, resource: str) -> Seen | None:
    """Return the last loaded run that other runs can be compared with."""
    return next(iter(_seen(connection, practice, resource, or_(_is_full_scan(), _is_partial(ALIKE)), 1)), None)


def before(
    connection: Connection, practice: str, resource: str, run_id: str, *, full_scan: bool, strategy: str | None
) -> list[Seen]:
    """Return the last comparable, loaded runs except this one: full scans, or scheduled ones by its strategy."""
    chosen = _is_full_scan() if full_scan else _is_partial([strategy] if strategy else [])
    return _seen(connection, practice, resource, chosen & (ecw_run.c.run_id != run_id), RUNS)


def last_full_scan(engine: Engine, run: Run, resource: str, strategy: str) -> datetime | None:
    """Return the end of the window of the last loaded full scan by a strategy, except this run."""
    r = ecw_run
    statement = select(func.max(r.c.window_end)).where(
        *(r.c.practice == run["practice"], r.c.resource == resource, r.c.run_id != run["run_id"]),
        *(r.c.state == LOADED, r.c.run_type != RunType.BACKFILL, r.c.strategy == strategy, _is_full_scan()),
    )
    with reading(engine) as connection:
        return connection.execute(statement).scalar()


def number(runs: Sequence[Seen], patients_queried: int | None, *, full_scan: bool) -> int | None:
    """Return how many records such runs usually find: the median, None if there are too few runs or records.

    `patients_queried` is the number of the run that is compared: the other runs' records are scaled to it.
    """
    if full_scan:
        return median_high(seen.records for seen in runs) if runs else None
    if patients_queried is None:
        found = [float(seen.records) for seen in runs]
    else:
        found = [seen.records / seen.patients_queried * patients_queried for seen in runs if seen.patients_queried]
    if len(found) < LEAST_RUNS or (patients_queried is not None and patients_queried < LEAST_PATIENTS):
        return None
    usual = round(median_high(found))
    return usual if usual >= LEAST_RECORDS else None


def _is_full_scan() -> ColumnElement[bool]:
    return ecw_run.c.full_scan.is_(True)


def _is_partial(strategies: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition of the scheduled partial runs, except the first, which has no window start."""
    r = ecw_run
    return (
        r.c.strategy.in_(strategies)
        & (r.c.run_type == RunType.SCHEDULED)
        & r.c.window_start.is_not(None)
        & r.c.full_scan.is_not(True)
    )


def _seen(connection: Connection, practice: str, resource: str, chosen: ColumnElement[bool], limit: int) -> list[Seen]:
    r, later = ecw_run, ecw_run.alias()
    deleted_since = (
        select(func.coalesce(func.sum(later.c.deleted_at_source), 0))
        .where(later.c.practice == practice, later.c.resource == resource, later.c.state == LOADED)
        .where(later.c.full_scan.is_(True), later.c.started_at > r.c.started_at, r.c.full_scan.is_(True))
        .scalar_subquery()
    )
    records = r.c.fetched - func.coalesce(r.c.deferred_loaded, 0) - func.coalesce(r.c.deleted_at_source, 0)
    statement = (
        select(r.c.run_id, records, r.c.patients_queried, r.c.full_scan, r.c.strategy, deleted_since)
        .where(
            r.c.practice == practice, r.c.resource == resource, r.c.state == LOADED, r.c.run_type != RunType.BACKFILL
        )
        .where(chosen)
        .order_by(r.c.started_at.desc(), r.c.run_id.desc())
        .limit(limit)
    )
    return [Seen(*row) for row in connection.execute(statement)]
