"""The run records: one row for each resource of each run, written from the run's begin on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, case, select, update

from ecw.crm.db.engine import exclusive, reading
from ecw.crm.db.enums import RunState
from ecw.crm.db.tables import ecw_run
from ecw.crm.db.upsert import insert, upsert
from ecw.errors import ConcurrentRun, ConfigurationError, EcwError, RetryableError
from ecw.models import Batch, Counts, Mode, Run, RunType

RUNNING, LOADED, FAILED, DRY = RunState.RUNNING, RunState.LOADED, RunState.FAILED, RunState.DRY


@dataclass(frozen=True, slots=True)
class Notes:
    """Further counts of a load: see the columns of ecw_run."""

    locked: int = 0
    conflicts: int = 0
    pending_push: int = 0
    normalized_fields: int = 0
    deferred: int = 0
    deferred_loaded: int = 0
    stale: int = 0
    still_stale: int = 0
    rewritten: str | None = None


def begin(
    engine: Engine,
    run: Run,
    resources: Iterable[str],
    *,
    strategies: Mapping[str, str] | None = None,
    state: str = RUNNING,
    goes_on: Callable[[str], bool] | None = None,
) -> None:
    """Record that the run has begun on these resources, so that a killed run is visible.

    A run that begins again keeps the counts of what it loaded before. A dry run has the state `dry` from its begin on.
    With `goes_on` no other run of the practice may be working: see `require_alone`.
    """
    with engine.begin() as connection:
        if goes_on is not None:
            exclusive(connection, f"ecw run {run['practice']}")
            require_alone(connection, run, goes_on)
        for resource in resources:
            begun(connection, run, resource, strategy=(strategies or {}).get(resource), state=state)


def is_live() -> ColumnElement[bool]:
    """Return the condition of the live runs: neither backfills nor replays."""
    return and_(ecw_run.c.run_type != RunType.BACKFILL, ecw_run.c.mode != Mode.REPLAY)


def require_alone(connection: Connection, run: Run, goes_on: Callable[[str], bool]) -> None:
    """Raise ConcurrentRun if another live run of the practice is working; backfills and replays may run in parallel.

    `goes_on` returns True if Airflow still has a run of this id running.
    """
    statement = (
        select(ecw_run.c.run_id)
        .where(ecw_run.c.practice == run["practice"], ecw_run.c.state == RUNNING)
        .where(ecw_run.c.run_id != run["run_id"], is_live())
        .distinct()
    )
    for other in connection.scalars(statement).all():
        if goes_on(other):
            raise ConcurrentRun(f"The run {other} pulls this practice.", next_step="wait until it is over.")


def begun(
    connection: Connection,
    run: Run,
    resource: str,
    *,
    strategy: str | None = None,
    state: str = RUNNING,
    mapped_all: bool | None = None,
) -> None:
    """Record that the run has begun on one resource; `mapped_all` is for the claim of a backfill's run."""
    values = {"state": state, "started_at": datetime.now(UTC), "ended_at": None, "error": None, "strategy": strategy}
    values |= {} if mapped_all is None else {"mapped_all": mapped_all}
    upsert(connection, ecw_run, _key(run, resource), _window(run) | values)


def planned(engine: Engine, run: Run, resource: str, *, strategy: str, start: str | None) -> None:
    """Record how the resource is extracted, and where its own window begins."""
    values = {"strategy": strategy, "window_start": None if start is None else datetime.fromisoformat(start)}
    with engine.begin() as connection:
        connection.execute(update(ecw_run).where(*_is(run, resource)).values(values))


def fail(engine: Engine, run: Run, resource: str, error: BaseException) -> None:
    """Record that a resource of the run failed, unless it is loaded; a dry run keeps the state `dry`.

    Of the project's own errors the whole text is recorded; of others only the class, because the text may hold a
    patient's data.
    """
    text = f"{type(error).__name__}: {error}" if isinstance(error, EcwError) else type(error).__name__
    ended = {"state": FAILED, "ended_at": datetime.now(UTC), "error": text}
    state = case((ecw_run.c.state == DRY, DRY), else_=FAILED)
    with engine.begin() as connection:
        connection.execute(
            insert(connection, ecw_run)
            .values(_key(run, resource) | _window(run) | {"started_at": datetime.now(UTC)} | ended)
            .on_conflict_do_update(
                index_elements=["practice", "run_id", "resource"],
                set_=ended | {"state": state},
                where=ecw_run.c.state != LOADED,
            )
        )


def give_back(engine: Engine, run: Run) -> int:
    """Fail the resources that a run has begun and not loaded; return how many. Call it when a run ends or begins again.

    The run may have been marked failed by hand before their tasks began, or killed. Other runs must not wait for it,
    and the next run of the same backfill takes over its snapshots.
    """
    advice = ", or leave it to the next run."
    if run["run_type"] == RunType.BACKFILL:
        advice = "; resources without a search by date are fetched by the next run of the backfill, if there is one."
    ended = RetryableError(
        "The run ended before this was loaded.",
        who="data engineer",
        next_step=f"clear its tasks{advice}",
    )
    of_run = [ecw_run.c.practice == run["practice"], ecw_run.c.run_id == run["run_id"], ecw_run.c.state == RUNNING]
    values = {"state": FAILED, "ended_at": datetime.now(UTC), "error": str(ended)}
    with engine.begin() as connection:
        return connection.execute(update(ecw_run).where(*of_run).values(values)).rowcount


def require_begun(engine: Engine, run: Run) -> None:
    """Raise ConfigurationError if the run did not begin in this CRM: its plan was made from another CRM's rows."""
    mine = select(ecw_run.c.run_id).filter_by(practice=run["practice"], run_id=run["run_id"])
    with reading(engine) as connection:
        if connection.execute(mine.limit(1)).first() is None:
            raise ConfigurationError(
                f"This CRM does not know the run {run['run_id']}: the connection {run['crm_conn_id']!r} names another "
                "database than when the run began.",
                next_step="trigger a new run; to finish this one, point the connection back and clear the failed "
                "tasks.",
            )


def numbers(engine: Engine, run: Run, resource: str) -> Counts | None:
    """Return the counts of a resource of the run, None while it is not loaded."""
    with reading(engine) as connection:
        found = row(connection, run, resource)
    return numbers_of(found) if found is not None and found["state"] == LOADED else None


def row(connection: Connection, run: Run, resource: str) -> RowMapping | None:
    """Return the record of a resource of the run."""
    return connection.execute(select(ecw_run).where(*_is(run, resource))).mappings().one_or_none()


def numbers_of(found: RowMapping | Mapping[str, Any]) -> Counts:
    """Return the counts of a loaded run record."""
    return Counts(*(found[name] for name in ("fetched", "rejected", "inserted", "updated", "unchanged")))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of a load.

    `seconds` is the time of the load itself. `fingerprint` is the batch's, None for a dry run.
    """

    counts: Counts
    notes: Notes
    mapping_version: str
    seconds: float
    fingerprint: str | None = None
    state: str = LOADED


def record(connection: Connection, run: Run, batch: Batch, loaded: Loaded) -> None:
    """Write the result of a load, inside its transaction."""
    counts = loaded.counts
    now = datetime.now(UTC)
    before = row(connection, run, batch["resource"])
    upsert(
        connection,
        ecw_run,
        _key(run, batch["resource"]),
        _window(run)
        # The resource's own window may begin later than the run's: see `planned`.
        | ({} if before is None else {"window_start": before["window_start"]})
        | {
            "state": loaded.state,
            "started_at": before["started_at"] if before else now,
            "ended_at": now,
            "fetched": counts.fetched,
            "rejected": counts.rejected,
            "inserted": counts.inserted,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "calls": batch["calls"],
            "seconds": batch["seconds"] + loaded.seconds,
            "mapping_version": loaded.mapping_version,
            "fingerprint": loaded.fingerprint,
            "error": None,
            "full_scan": batch.get("full_scan", False),
            "patients_queried": batch.get("patients_queried"),
            "deleted_at_source": batch.get("deleted_at_source"),
            "completeness": batch.get("completeness"),
            "remaining_patients": batch.get("remaining_patients"),
            "remaining_due_at": datetime.fromisoformat(batch["remaining_due_at"])
            if "remaining_due_at" in batch
            else None,
        }
        | ({"strategy": batch["strategy"]} if "strategy" in batch else {})
        | asdict(loaded.notes),
    )


def loaded_already(connection: Connection, run: Run, resource: str) -> None:
    """Set the state `loaded` again, for a task that runs a second time and finds its batch loaded already."""
    ended = {"state": LOADED, "ended_at": datetime.now(UTC), "error": None}
    connection.execute(update(ecw_run).where(*_is(run, resource)).values(ended))


def _is(run: Run, resource: str) -> list[ColumnElement[bool]]:
    return [ecw_run.columns[name] == value for name, value in _key(run, resource).items()]


def _key(run: Run, resource: str) -> dict[str, str]:
    return {"practice": run["practice"], "run_id": run["run_id"], "resource": resource}


def _window(run: Run) -> dict[str, object]:
    start = run["window_start"]
    return {
        "run_type": run["run_type"],
        "mode": run["mode"],
        "window_start": None if start is None else datetime.fromisoformat(start),
        "window_end": datetime.fromisoformat(run["window_end"]),
    }
