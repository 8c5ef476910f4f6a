"""The state of each practice and resource, read by a few indexed statements for all practices at once.

Ids and counts only.  `ecw.reports.status` is the report of the terminal; it also has the reasons of rejects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, case, func, literal, select, tuple_, union_all

from ecw.crm.db.enums import ConflictState, RejectState, RunState
from ecw.crm.db.tables import ecw_conflict, ecw_cursor, ecw_intent, ecw_reject, ecw_run
from ecw.crm.load.match_unconfirmed import HELD, SENDING, UNKNOWN
from ecw.crm.state import runs
from ecw.resources import RESOURCES

UNMAPPED = "unmapped code"
DEAD_AFTER = timedelta(hours=6)  # no pull takes this long
MOST_PRACTICES = 200

Key = tuple[str, str]  # practice, resource


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a resource; `error` holds no values, `state` is `dead` if the run never ended."""

    run_id: str
    mode: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    fetched: int | None
    rejected: int | None
    inserted: int | None
    updated: int | None
    unchanged: int | None
    calls: int | None
    seconds: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ResourceState:
    """One resource of a practice.

    `age_seconds` is the time since the last good sync; `late` is True if it exceeds the alerts' number of intervals.
    The other numbers count records that wait: for a fix (`open_rejects`), a crosswalk line (`unmapped`), a choice
    (`conflicts`, `held`), the result of a push (`unknown`), or the next push, which applies a choice (`decided`).
    """

    resource: str
    last_good_at: datetime | None
    age_seconds: float | None
    late: bool
    last_run: LastRun | None
    open_rejects: int = 0
    unmapped: int = 0
    conflicts: int = 0
    held: int = 0
    unknown: int = 0
    decided: int = 0


@dataclass(frozen=True, slots=True)
class PracticeState:
    """A practice: the longest time between scheduled runs, the resources they pull, and the state of all resources.

    `resources` has the order of resources.py.
    """

    practice: str
    interval_seconds: float
    scheduled: list[str]
    resources: list[ResourceState] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time now and the schedule that a practice's ages are compared with.

    `every` is the interval of the schedule, `late_after` the number of intervals after which a resource is overdue,
    `scheduled` the resources that the schedule pulls.
    """

    now: datetime
    every: timedelta
    late_after: float = 3
    scheduled: tuple[str, ...] = tuple(RESOURCES)

    def late(self, resource: str, since: datetime | None) -> bool:
        """Return True if a resource that the schedule pulls is overdue."""
        if since is None or resource not in self.scheduled:
            return False
        return self.now - since > self.late_after * self.every


def practices(connection: Connection) -> list[str]:
    """Return the practices that have run, by name, at most MOST_PRACTICES.

    Each practice costs one step along the primary key, no matter how many runs it has.
    """
    names: list[str] = []
    first = select(ecw_run.c.practice).order_by(ecw_run.c.practice).limit(1)
    while len(names) < MOST_PRACTICES:
        name = connection.scalar(first.where(ecw_run.c.practice > names[-1]) if names else first)
        if name is None:
            break
        names.append(name)
    return names


def states(connection: Connection, clocks: Mapping[str, Clock]) -> list[PracticeState]:
    """Return the state of the practices in `clocks`, each measured by its own clock."""
    if not clocks:
        return []
    names = list(clocks)
    last = _last_runs(connection, clocks)
    good = _last_good(connection, names)
    rejects, unmapped = _open_rejects(connection, names)
    conflicts = _counts(connection, _open_conflicts(names))
    held = _counts(connection, _intents(names, (HELD,), chosen=False))
    unknown = _counts(connection, _intents(names, (SENDING, UNKNOWN)))
    chosen = _counts(connection, _intents(names, (HELD,), chosen=True))
    to_send = _counts(connection, _open_conflicts(names, "crm"))

    def one(practice: str, resource: str) -> ResourceState:
        key, clock = (practice, resource), clocks[practice]
        since = good.get(key)
        run = last.get(key)
        return ResourceState(
            resource=resource,
            last_good_at=since,
            age_seconds=(clock.now - since).total_seconds() if since else None,
            late=clock.late(resource, since or (run.started_at if run else None)),
            last_run=run,
            open_rejects=rejects.get(key, 0),
            unmapped=unmapped.get(key, 0),
            conflicts=conflicts.get(key, 0),
            held=held.get(key, 0),
            unknown=unknown.get(key, 0),
            decided=chosen.get(key, 0) + to_send.get(key, 0),
        )

    return [
        PracticeState(
            name, clock.every.total_seconds(), list(clock.scheduled), [one(name, resource) for resource in RESOURCES]
        )
        for name, clock in clocks.items()
    ]


def _last_runs(connection: Connection, clocks: Mapping[str, Clock]) -> dict[Key, LastRun]:
    """Return the last run of each practice and resource.

    The first statement finds each run's key with one index lookup, the second reads the rows.
    """
    pairs = [(name, resource) for name in clocks for resource in RESOURCES]
    rows = union_all(
        *(select(literal(name).label("practice"), literal(resource).label("resource")) for name, resource in pairs)
    ).subquery()
    r = ecw_run.c
    latest = (
        select(r.run_id)
        .where(r.practice == rows.c.practice, r.resource == rows.c.resource)
        .order_by(r.started_at.desc(), r.run_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    keys = [tuple(row) for row in connection.execute(select(rows.c.practice, latest, rows.c.resource)) if row[1]]
    if not keys:
        return {}
    found = connection.execute(select(ecw_run).where(tuple_(r.practice, r.run_id, r.resource).in_(keys))).mappings()
    return {(row["practice"], row["resource"]): _run(row, clocks[row["practice"]]) for row in found}


def _run(row: RowMapping, clock: Clock) -> LastRun:
    dead = row["state"] == runs.RUNNING and clock.now - row["started_at"] > DEAD_AFTER
    numbers = ("fetched", "rejected", "inserted", "updated", "unchanged", "calls", "seconds", "error")
    return LastRun(
        state=RunState.DEAD if dead else row["state"],
        **{name: row[name] for name in ("run_id", "mode", "started_at", "ended_at", *numbers)},
    )


def _last_good(connection: Connection, names: Sequence[str]) -> dict[Key, datetime]:
    """Return when a run last fetched all that was due; a backfill or a run for single records does not count."""
    c = ecw_cursor.c
    rows = connection.execute(select(c.practice, c.resource, c.moved_at).where(c.practice.in_(names)))
    return {(practice, resource): moment for practice, resource, moment in rows}


def _open_rejects(connection: Connection, names: Sequence[str]) -> tuple[dict[Key, int], dict[Key, int]]:
    """Return how many records have open rejects, and how many of them for an unmapped code: one scan of an index."""
    r = ecw_reject.c
    is_open = r.state == literal(RejectState.OPEN.value, literal_execute=True)
    unmapped = func.max(case((r.rule == UNMAPPED, 1), else_=0)).label("unmapped")
    key = (r.practice, r.resource, r.ecw_id)
    records = select(*key, unmapped).where(r.practice.in_(names), is_open).group_by(*key).subquery().c
    counts = select(records.practice, records.resource, func.count(), func.sum(records.unmapped))
    rejects: dict[Key, int] = {}
    codes: dict[Key, int] = {}
    for practice, resource, total, coded in connection.execute(counts.group_by(records.practice, records.resource)):
        rejects[practice, resource], codes[practice, resource] = int(total), int(coded)
    return rejects, codes


def _open_conflicts(names: Sequence[str], choice: str | None = None) -> Select[Any]:
    c = ecw_conflict.c
    key = (c.practice, c.resource)
    waits = (c.practice.in_(names), c.state == ConflictState.OPEN, c.choice == choice)
    return select(*key, func.count(c.crm_id.distinct())).where(*waits).group_by(*key)


def _intents(names: Sequence[str], in_states: Collection[str], chosen: bool | None = None) -> Select[Any]:
    i = ecw_intent.c
    key = (i.practice, i.resource)
    counted = select(*key, func.count()).where(i.practice.in_(names), i.state.in_(in_states)).group_by(*key)
    return counted if chosen is None else counted.where(i.choice.is_not(None) if chosen else i.choice.is_(None))


def _counts(connection: Connection, statement: Select[Any]) -> dict[Key, int]:
    return {(practice, resource): int(number) for practice, resource, number in connection.execute(statement)}
