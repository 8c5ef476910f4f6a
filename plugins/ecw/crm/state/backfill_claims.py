"""Who of a backfill's runs takes the snapshot: one look at a resource that cannot be asked for a window.

Airflow tells a task that its run is part of a backfill and not of which one, so the runs agree through the ledger: a
row of a backfill's run that is running or loaded is the claim, one that failed has given it back, and so has a run
that has ended, however that came (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine, RowMapping, delete, select

from ecw.crm.db.engine import exclusive
from ecw.crm.db.tables import ecw_run
from ecw.crm.state import runs
from ecw.models import Run

IDLE = timedelta(minutes=30)  # no run of any backfill for so long: what begins then is another backfill
DEAD = timedelta(hours=6)  # a run that gave no sign for longer died on the way, and nobody said so
BEGINNING = timedelta(minutes=15)  # one that has claimed and not begun for longer did, too: `begin` takes a minute


class Holder(NamedTuple):
    """The run that takes the snapshot, and whether it is loaded already."""

    run_id: str
    loaded: bool


def claim(engine: Engine, run: Run, resources: Iterable[str], *, full: bool = False) -> dict[str, Holder]:
    """Claim the snapshots of resources for a run of a backfill; return those that another run of it has.

    A snapshot serves every interval that was over when it was begun; one of which only the changes are mapped serves
    no `full` run.
    """
    with engine.begin() as connection:
        exclusive(connection, f"ecw snapshots {run['practice']}")
        now = datetime.now(UTC)
        others = connection.execute(
            select(ecw_run).where(
                ecw_run.c.practice == run["practice"],
                ecw_run.c.run_type == "backfill",
                ecw_run.c.run_id != run["run_id"],
                ecw_run.c.state != runs.DRY,
            )
        )
        rows = sorted(others.mappings(), key=lambda row: row["started_at"])
        taken: dict[str, Holder] = {}
        for resource in resources:
            if holder := _holder(rows, run, resource, now, full=full):
                taken[resource] = holder
            else:
                runs.begun(connection, run, resource, mapped_all=full)
        return taken


def unclaim(engine: Engine, run: Run, resources: Iterable[str]) -> None:
    """Take back what a run has claimed, without a trace: it waits, and claims again when it goes on."""
    claimed = [ecw_run.c.practice == run["practice"], ecw_run.c.run_id == run["run_id"]]
    claimed += [ecw_run.c.resource.in_(list(resources)), ecw_run.c.state == runs.RUNNING]
    with engine.begin() as connection:
        connection.execute(delete(ecw_run).where(*claimed))


def _holder(rows: list[RowMapping], run: Run, resource: str, now: datetime, *, full: bool) -> Holder | None:
    end = datetime.fromisoformat(run["window_end"])
    for at in range(len(rows) - 1, -1, -1):
        row = rows[at]
        if row["resource"] != resource or row["started_at"] < end or not _holds(row, rows, now):
            continue
        if full and not row["mapped_all"]:
            continue
        return Holder(row["run_id"], row["state"] == runs.LOADED) if _goes_on(rows, at, now) else None
    return None


def _holds(row: RowMapping, rows: list[RowMapping], now: datetime) -> bool:
    return bool(row["state"] == runs.LOADED or _alive(row, rows, now))


def _alive(row: RowMapping, rows: list[RowMapping], now: datetime) -> bool:
    """Return True if a row's run is still at it; what the run does to any resource is a sign of life."""
    if row["state"] != runs.RUNNING:
        return False
    if row["strategy"] is None:  # `begin` has not got to its end
        return bool(now - row["started_at"] < BEGINNING)
    signs = [
        sign for other in rows if other["run_id"] == row["run_id"] for sign in (other["started_at"], other["ended_at"])
    ]
    return bool(now - max(filter(None, signs)) < DEAD)


def _goes_on(rows: list[RowMapping], at: int, now: datetime) -> bool:
    """Return True if runs of a backfill were at work from that row until now, without a longer pause."""
    reached = rows[at]["started_at"]
    for row in rows[at:]:
        if row["started_at"] > reached + IDLE:
            return False
        reached = max(reached, now if _alive(row, rows, now) else row["ended_at"] or row["started_at"])
    return bool(now <= reached + IDLE)
