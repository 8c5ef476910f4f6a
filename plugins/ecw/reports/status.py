"""The last run of each resource, and what is wrong with it; ids and counts only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import RejectState, RunState
from ecw.crm.db.tables import ecw_cursor, ecw_link, ecw_reject, ecw_run
from ecw.crm.state import runs
from ecw.models import Counts, Mode
from ecw.reports.sync_state import DEAD_AFTER
from ecw.resources import RESOURCES

# The default time between two scheduled runs; callers read theirs from ecw.settings.schedule.gaps.
EVERY = timedelta(hours=2)
LATE_AFTER = 3  # intervals


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One practice and resource: the last run, its numbers, and a next step if something is wrong.

    `age` is the time since the last loaded run, also if later runs failed. `state` is `never` before the first run,
    and `dead` if a run began more than DEAD_AFTER ago and neither ended nor failed.
    """

    practice: str | None
    resource: str
    state: str
    run_id: str | None = None
    numbers: Counts | None = None
    calls: int | None = None
    seconds: float | None = None
    loaded_at: datetime | None = None
    age: timedelta | None = None
    cursor: datetime | None = None
    links: int = 0
    open_rejects: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # step, rule and column -> how many records
    next_step: str | None = None


def status(engine: Engine, *, now: datetime | None = None, every: timedelta = EVERY) -> list[ResourceStatus]:
    """Return the state of each resource of every practice that has run, in the order of resources.py.

    `every` is the longest time from one scheduled run to the next.
    """
    now = now or datetime.now(UTC)
    with reading(engine) as connection:
        practices = list(connection.scalars(select(ecw_run.c.practice).distinct().order_by(ecw_run.c.practice)))
        if not practices:
            return [_never(None, resource) for resource in RESOURCES]
        return [_one(connection, practice, resource, now, every) for practice in practices for resource in RESOURCES]


def _never(practice: str | None, resource: str) -> ResourceStatus:
    return ResourceStatus(practice, resource, "never", next_step="unpause the DAG ecw_pull and trigger it.")


def _one(connection: Connection, practice: str, resource: str, now: datetime, every: timedelta) -> ResourceStatus:
    latest = (
        select(ecw_run)
        .where(ecw_run.c.practice == practice, ecw_run.c.resource == resource)
        .order_by(ecw_run.c.started_at.desc(), ecw_run.c.run_id.desc())
        .limit(1)
    )
    last = connection.execute(latest).mappings().one_or_none()
    if last is None:
        return _never(practice, resource)
    # A replay fetches nothing from eCW, so it does not reset the age.
    fresh = latest.where(ecw_run.c.state == runs.LOADED, ecw_run.c.mode != Mode.REPLAY)
    loaded = connection.execute(fresh).mappings().one_or_none()
    state = last["state"]
    if state == runs.RUNNING and now - last["started_at"] > DEAD_AFTER:
        state = RunState.DEAD
    loaded_at = loaded["ended_at"] if loaded else None
    age = now - loaded_at if loaded_at else None
    key = {"practice": practice, "resource": resource}
    return ResourceStatus(
        practice=practice,
        resource=resource,
        state=state,
        run_id=last["run_id"],
        numbers=runs.numbers_of(last) if last["state"] == runs.LOADED else None,
        calls=last["calls"],
        seconds=last["seconds"],
        loaded_at=loaded_at,
        age=age,
        cursor=connection.execute(select(ecw_cursor.c.position).filter_by(**key)).scalar(),
        links=_count(connection, ecw_link, key),
        open_rejects=_count(connection, ecw_reject, key | {"state": RejectState.OPEN}),
        reasons=_reasons(connection, key),
        next_step=_next_step(state, last["run_id"], last["error"], age, every),
    )


def _count(connection: Connection, table: Any, where: dict[str, str]) -> int:
    return int(connection.execute(select(func.count()).select_from(table).filter_by(**where)).scalar_one())


def _reasons(connection: Connection, key: dict[str, str]) -> dict[str, int]:
    reason = (ecw_reject.c.step, ecw_reject.c.rule, ecw_reject.c.column)
    statement = select(*reason, func.count()).filter_by(**key, state=RejectState.OPEN).group_by(*reason)
    counts = {" ".join(filter(None, names)): int(number) for *names, number in connection.execute(statement)}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _next_step(state: str, run_id: str, error: str | None, age: timedelta | None, every: timedelta) -> str | None:
    if state == runs.FAILED:
        message = error if error and "Next (" in error else f"{error}; read the log of its task in Airflow."
        return f"the run {run_id} failed: {message}"
    if state == RunState.DEAD:
        return f"the run {run_id} began and never ended: read the logs of its tasks in Airflow, and clear it."
    if age is not None and age > LATE_AFTER * every:
        return "nothing was loaded for three intervals: check that Airflow's scheduler runs and ecw_pull is not paused."
    return None
