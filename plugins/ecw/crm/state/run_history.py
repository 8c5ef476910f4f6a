"""Queries of the run records about a run as a whole, and about earlier runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Engine, Select, Table, and_, exists, func, select, update

from ecw.crm.db.engine import exclusive, reading
from ecw.crm.db.enums import DELETED, ConflictState, RejectState, RejectStep
from ecw.crm.db.tables import (
    ecw_conflict,
    ecw_cursor,
    ecw_deferred_row,
    ecw_link,
    ecw_push_item,
    ecw_reject,
    ecw_run,
    metadata,
)
from ecw.crm.state.runs import LOADED, is_live
from ecw.errors import ConfigurationError
from ecw.models import Mode, Run, RunKind, RunType

AGAIN = "~"  # between a run's id and its number, if Airflow used the id again
LONGEST_ID = 240  # characters of an id that leave room for the number


def of_run(engine: Engine, run: Run) -> list[dict[str, Any]]:
    """Return the records of a run, one for each resource."""
    statement = select(ecw_run).where(ecw_run.c.practice == run["practice"], ecw_run.c.run_id == run["run_id"])
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def require_own_id(engine: Engine, practice: str, run_id: str, mode: str) -> None:
    """Raise ConfigurationError if the other kind of run has the id: pulls and replays are two DAGs with one table."""
    r, replay = ecw_run, mode == Mode.REPLAY
    other = r.c.mode != Mode.REPLAY if replay else r.c.mode == Mode.REPLAY
    taken = exists().where(r.c.practice == practice, r.c.run_id == run_id, other)
    with reading(engine) as connection:
        if connection.execute(select(taken)).scalar():
            raise ConfigurationError(
                f"A {'pull' if replay else 'replay'} of the practice has the run id {run_id} already, and its numbers "
                "and staged batches are kept under it.",
                next_step="trigger this one with another run id, or without one.",
            )


def archive(engine: Engine, practice: str, run_id: str, kind: RunKind = RunKind.PULL) -> str | None:
    """Rename an earlier run of this id and kind in all bookkeeping tables; return its new id, None without such a run.

    Airflow can use a run id again after it deleted the run (`airflow db clean`, a deleted run): for a backfill of the
    same interval, or because a person chose the id. The records of the first run must not become those of the
    second. If a run of another kind has the id as well, nothing is renamed: that run may be working.
    """
    with engine.begin() as connection:
        exclusive(connection, f"ecw run {practice}")
        replayed = ecw_run.c.mode == Mode.REPLAY
        known = {
            RunKind.PULL: _of(ecw_run, practice, run_id).where(~replayed),
            RunKind.REPLAY: _of(ecw_run, practice, run_id).where(replayed),
            RunKind.PUSH: _of(ecw_push_item, practice, run_id),
        }
        if [name for name, found in known.items() if connection.scalar(select(found.exists()))] != [kind]:
            return None
        earlier = f"{run_id[:LONGEST_ID]}{AGAIN}{_times_used(connection, practice, run_id)}"
        for table in metadata.sorted_tables:
            for column in table.columns if "practice" in table.columns else ():
                if column.name == "run_id" or column.name.endswith("_run"):
                    of_practice = table.columns["practice"] == practice
                    connection.execute(
                        update(table).where(of_practice, column == run_id).values({column.name: earlier})
                    )
    return earlier


def folder_name(engine: Engine, practice: str, run_id: str) -> str:
    """Return the name of a run's folder in the staging area; it is another one for each run with the same id."""
    with reading(engine) as connection:
        times = _times_used(connection, practice, run_id)
    return run_id if times == 1 else f"{run_id[:LONGEST_ID]}{AGAIN}{times}"


def _times_used(connection: Connection, practice: str, run_id: str) -> int:
    """Return how many runs had the id, this one included."""
    earlier = run_id[:LONGEST_ID] + AGAIN
    ids: set[str] = set()
    for table in (ecw_run, ecw_push_item):
        statement = select(table.c.run_id).where(
            table.c.practice == practice, table.c.run_id.startswith(earlier, autoescape=True)
        )
        ids |= set(connection.scalars(statement.distinct()))
    return 1 + len([found for found in ids if found.startswith(earlier) and found[len(earlier) :].isdecimal()])


def _of(table: Table, practice: str, run_id: str) -> Select[Any]:
    return select(table.c.run_id).where(table.c.practice == practice, table.c.run_id == run_id)


def waiting_conflicts(engine: Engine, practice: str) -> dict[str, int]:
    """Return how many conflicts of each resource wait for a person."""
    statement = (
        select(ecw_conflict.c.resource, func.count())
        .where(ecw_conflict.c.practice == practice, ecw_conflict.c.state == ConflictState.OPEN)
        .group_by(ecw_conflict.c.resource)
    )
    with reading(engine) as connection:
        return {resource: int(number) for resource, number in connection.execute(statement)}


def missing(engine: Engine, practice: str) -> dict[str, int]:
    """Return how many records of each resource deferred rows wait for."""
    p = ecw_deferred_row.c
    statement = select(p.missing_resource, func.count(p.missing_id.distinct())).where(p.practice == practice)
    with reading(engine) as connection:
        found = connection.execute(statement.group_by(p.missing_resource))
        return {resource: int(number) for resource, number in found}


def fetched_before(engine: Engine, run: Run, resource: str) -> int | None:
    """Return how many records the last complete run before this one fetched, None without one.

    A complete run is one that moved the cursor; a run about single records does not.
    """
    statement = _last_complete_run(ecw_run.c.fetched, run["practice"], resource).where(
        ecw_run.c.run_id != run["run_id"]
    )
    with reading(engine) as connection:
        return connection.execute(statement).scalar()


def deleted_ids(engine: Engine, practice: str, resource: str) -> set[str]:
    """Return the ids of records that are known to be deleted in eCW."""
    statement = select(ecw_reject.c.ecw_id).where(
        ecw_reject.c.practice == practice,
        ecw_reject.c.resource == resource,
        ecw_reject.c.rule == DELETED,
        ecw_reject.c.state == RejectState.OPEN,
    )
    with reading(engine) as connection:
        return set(connection.execute(statement).scalars())


def refused(engine: Engine, practice: str, resource: str) -> list[str]:
    """Return the ids of rejected records that were never loaded, except those without an id or deleted in eCW."""
    r, link = ecw_reject, ecw_link
    linked = exists().where(link.c.practice == practice, link.c.resource == resource, link.c.ecw_id == r.c.ecw_id)
    statement = select(r.c.ecw_id).where(
        r.c.practice == practice,
        r.c.resource == resource,
        r.c.state == RejectState.OPEN,
        r.c.rule != DELETED,
        r.c.step != RejectStep.PUSH,
        ~r.c.ecw_id.startswith("no-id-"),
        ~linked,
    )
    with reading(engine) as connection:
        return sorted(set(connection.scalars(statement)))


def calls_before(engine: Engine, practice: str, resource: str) -> int | None:
    """Return how many calls the last complete live run made, None without one."""
    with reading(engine) as connection:
        return connection.execute(_last_complete_run(ecw_run.c.calls, practice, resource)).scalar()


def linked(engine: Engine, practice: str, resource: str) -> int:
    """Return how many records of a resource are linked."""
    statement = select(func.count()).where(ecw_link.c.practice == practice, ecw_link.c.resource == resource)
    with reading(engine) as connection:
        return int(connection.execute(statement).scalar_one())


def loaded_in_backfill(engine: Engine, practice: str, resource: str) -> bool:
    """Return True if a backfill has ever loaded a resource; a backfill moves no cursor."""
    r = ecw_run
    in_backfill = (
        r.c.practice == practice,
        r.c.resource == resource,
        r.c.run_type == RunType.BACKFILL,
        r.c.state == LOADED,
    )
    with reading(engine) as connection:
        return bool(connection.execute(select(exists().where(*in_backfill))).scalar())


def _last_complete_run(column: Column[int | None], practice: str, resource: str) -> Select[int | None]:
    """Select a column of the loaded live run that moved the cursor; if that run is unknown, of the last one."""
    moved = ecw_cursor.c.run_id == ecw_run.c.run_id
    return (
        select(column)
        .outerjoin(
            ecw_cursor,
            and_(moved, ecw_cursor.c.practice == ecw_run.c.practice, ecw_cursor.c.resource == ecw_run.c.resource),
        )
        .where(
            ecw_run.c.practice == practice,
            ecw_run.c.resource == resource,
            is_live(),
            ecw_run.c.state == LOADED,
        )
        .order_by(ecw_cursor.c.run_id.is_(None), ecw_run.c.ended_at.desc())
        .limit(1)
    )
