"""Which runs saw as much of eCW as another one, and how many records such runs usually see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median_high
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, func, or_, select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_run
from ecw.crm.state.runs import LOADED
from ecw.models import Run

RUNS = 5  # one bad run among so many does not become what is usual
LEAST_RUNS = 3  # of those that see a part, to say what is usual
# Of a part, so many say something: fewer than half of the usual does not happen by chance then.
LEAST_RECORDS = 20
LEAST_PATIENTS = 50
# Scheduled runs by these see parts of like size: a calendar of a fixed length, patients in turn (a share of them each).
SCHEDULE, PER_PATIENT = ALIKE = ("schedule", "per_patient")


class Seen(NamedTuple):
    """What a run saw: records that eCW has, those that had waited in the CRM or are gone not counted."""

    run_id: str
    records: int
    patients_queried: int | None  # patients who were asked about one by one
    full_scan: bool | None
    strategy: str | None
    deleted_since: int = 0  # of a run that saw everything: what later runs, which were loaded, found to be gone


def last(connection: Connection, practice: str, resource: str) -> Seen | None:
    """Return the last loaded run that others can be compared with."""
    return next(iter(_seen(connection, practice, resource, or_(_whole(), _alike(ALIKE)), 1)), None)


def before(
    connection: Connection, practice: str, resource: str, run_id: str, *, full_scan: bool, strategy: str | None
) -> list[Seen]:
    """Return the last loaded runs beside this one that saw as much: whole ones, or scheduled ones by its strategy."""
    chosen = _whole() if full_scan else _alike([strategy] if strategy else [])
    return _seen(connection, practice, resource, chosen & (ecw_run.c.run_id != run_id), RUNS)


def last_whole(engine: Engine, run: Run, resource: str, strategy: str) -> datetime | None:
    """Return the end of the window of the last loaded run beside this one that saw everything by a strategy."""
    r = ecw_run
    statement = select(func.max(r.c.window_end)).where(
        *(r.c.practice == run["practice"], r.c.resource == resource, r.c.run_id != run["run_id"]),
        *(r.c.state == LOADED, r.c.run_type != "backfill", r.c.strategy == strategy, _whole()),
    )
    with reading(engine) as connection:
        return connection.execute(statement).scalar()


def number(runs: Sequence[Seen], patients_queried: int | None, *, full_scan: bool) -> int | None:
    """Return how many records such runs usually see, None where they are too few to say so.

    `asked` is of the run that is compared: the others' records are taken by the patient.
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


def _whole() -> ColumnElement[bool]:
    return ecw_run.c.full_scan.is_(True)


def _alike(strategies: Sequence[str]) -> ColumnElement[bool]:
    """Choose scheduled runs that see a part; the first one looks further back, and at whom it chooses."""
    r = ecw_run
    return (
        r.c.strategy.in_(strategies)
        & (r.c.run_type == "scheduled")
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
        .where(r.c.practice == practice, r.c.resource == resource, r.c.state == LOADED, r.c.run_type != "backfill")
        .where(chosen)
        .order_by(r.c.started_at.desc(), r.c.run_id.desc())
        .limit(limit)
    )
    return [Seen(*row) for row in connection.execute(statement)]
