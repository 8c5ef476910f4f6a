"""Which run of a backfill takes the snapshot: the one full fetch of a resource that has no search by date.

Airflow tells a task that its run is part of a backfill, but not of which one. So the runs agree through their records
in ecw_run. A record of a backfill's run is the claim while it is running or loaded. A failed one releases the claim,
and so does a run that has ended for any reason (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine, RowMapping, delete, select

from ecw.crm.db.engine import exclusive
from ecw.crm.db.tables import ecw_run
from ecw.crm.state import runs
from ecw.models import Run, RunType

IDLE = timedelta(minutes=30)  # after such a pause without any backfill run, the next run is another backfill's
DEAD = timedelta(hours=6)  # a run without a change in its run records for longer was killed
BEGINNING = timedelta(minutes=15)  # so was one that claimed and did not begin for longer: `begin` takes a minute


class Holder(NamedTuple):
    """The run that takes the snapshot; `loaded` is true if the snapshot is loaded already."""

    run_id: str
    loaded: bool


def claim(engine: Engine, run: Run, resources: Iterable[str], *, full: bool = False) -> dict[str, Holder]:
    """Claim the snapshots of resources for a run of a backfill; return those that another of its runs holds.

    A snapshot serves every interval that had ended when the snapshot began. A snapshot of which only the changes are
    mapped does not serve a `full` run.
    """
    with engine.begin() as connection:
        exclusive(connection, f"ecw snapshots {run['practice']}")
        now = datetime.now(UTC)
        others = connection.execute(
            select(ecw_run).where(
                ecw_run.c.practice == run["practice"],
                ecw_run.c.run_type == RunType.BACKFILL,
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
    """Delete the claims of a run that waits; it claims again when it continues."""
    claimed = [ecw_run.c.practice == run["practice"], ecw_run.c.run_id == run["run_id"]]
    claimed += [ecw_run.c.resource.in_(list(resources)), ecw_run.c.state == runs.RUNNING]
    with engine.begin() as connection:
        connection.execute(delete(ecw_run).where(*claimed))


def _holder(rows: list[RowMapping], run: Run, resource: str, now: datetime, *, full: bool) -> Holder | None:
    end = datetime.fromisoformat(run["window_end"])
    for at in range(len(rows) - 1, -1, -1):
        row = rows[at]
        if row["resource"] != resource or row["started_at"] < end or not _is_claim(row, rows, now):
            continue
        if full and not row["mapped_all"]:
            continue
        return Holder(row["run_id"], row["state"] == runs.LOADED) if _is_current_backfill(rows, at, now) else None
    return None


def _is_claim(row: RowMapping, rows: list[RowMapping], now: datetime) -> bool:
    return bool(row["state"] == runs.LOADED or _is_alive(row, rows, now))


def _is_alive(row: RowMapping, rows: list[RowMapping], now: datetime) -> bool:
    """Return True if a row's run is still working; a change of any of its run records counts as a sign of life."""
    if row["state"] != runs.RUNNING:
        return False
    if row["strategy"] is None:  # `begin` has not ended
        return bool(now - row["started_at"] < BEGINNING)
    signs = [
        sign for other in rows if other["run_id"] == row["run_id"] for sign in (other["started_at"], other["ended_at"])
    ]
    return bool(now - max(filter(None, signs)) < DEAD)


def _is_current_backfill(rows: list[RowMapping], at: int, now: datetime) -> bool:
    """Return True if backfill runs were working from that row until now, without a pause longer than IDLE."""
    reached = rows[at]["started_at"]
    for row in rows[at:]:
        if row["started_at"] > reached + IDLE:
            return False
        reached = max(reached, now if _is_alive(row, rows, now) else row["ended_at"] or row["started_at"])
    return bool(now <= reached + IDLE)
