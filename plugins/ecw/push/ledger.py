"""What a run of the push planned, and what became of each patient: written as it happens, so that a run which is
killed goes on where it was, and still ends in the whole table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, or_, select, update

from ecw.crm.engine import reading
from ecw.crm.tables import ecw_push
from ecw.push.intents import Place

KEEP = timedelta(days=30)  # the journal keeps every attempt for good
WAITING, NOT_APPROVED, NOT_TRIED = "waiting", "not approved", "not tried"
UNFINISHED = (WAITING, "later", "unknown", "busy", "stopped", NOT_TRIED)  # a run that is retried takes them again
_CHUNK = 500  # ids in one statement
p = ecw_push.c


@dataclass(frozen=True, slots=True)
class Planned:
    """A patient that a run takes: the way it should go, and the key of what the CRM said then."""

    crm_id: str
    way: str
    intent: str


def plan(
    engine: Engine, place: Place, run_id: str, planned: Sequence[Planned], *, dry: bool, waiting: bool
) -> list[dict[str, Any]]:
    """Write a run's plan down, unless it has one already; return the plan that it has.

    `waiting`: for an approval. Plans that are older than KEEP go.
    """
    now = datetime.now(UTC)
    with engine.begin() as connection:
        connection.execute(delete(ecw_push).where(p.practice == place.practice, p.planned_at < now - KEEP))
        if not (before := _of_run(connection, place, run_id)) and planned:
            rows = [
                {
                    **place.key(one.crm_id),
                    **{"run_id": run_id, "position": at, "way": one.way, "intent": one.intent, "dry": dry},
                    **{"planned_at": now, "did": WAITING if waiting else None},
                }
                for at, one in enumerate(planned)
            ]
            connection.execute(insert(ecw_push), rows)
            return _of_run(connection, place, run_id)
    return before


def of_run(engine: Engine, place: Place, run_id: str) -> list[dict[str, Any]]:
    """Return a run's rows in their order."""
    with reading(engine) as connection:
        return _of_run(connection, place, run_id)


def to_do(engine: Engine, place: Place, run_id: str) -> list[str]:
    """Return the CRM ids that the run has not finished, in their order."""
    return _ids(engine, place, run_id, or_(p.did.is_(None), p.did.in_(UNFINISHED)))


def to_confirm(engine: Engine, place: Place, run_id: str) -> list[str]:
    """Return the CRM ids that the run has written into eCW and not read back."""
    return _ids(engine, place, run_id, p.did.in_(["created", "updated", "linked"]), p.confirmed.is_(None), ~p.dry)


def note(engine: Engine, place: Place, run_id: str, crm_id: str, **values: Any) -> None:
    """Write down what became of one patient, or what reading it back found."""
    key = {**place.key(crm_id), "run_id": run_id}
    with engine.begin() as connection:
        connection.execute(update(ecw_push).filter_by(**key).values(at=datetime.now(UTC), **values))


def note_rest(engine: Engine, place: Place, run_id: str, did: str, reason: str, next_move: str) -> None:
    """Write down the same of all patients that the run has not begun."""
    with engine.begin() as connection:
        connection.execute(
            update(ecw_push)
            .filter_by(practice=place.practice, resource=place.resource, run_id=run_id)
            .where(or_(p.did.is_(None), p.did == WAITING))
            .values(did=did, reason=reason, next_move=next_move, at=datetime.now(UTC))
        )


def latest(connection: Connection, place: Place, crm_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return for each patient what the last run that had planned it did, dry runs aside."""
    found: dict[str, dict[str, Any]] = {}
    ids = sorted(crm_ids)
    for at in range(0, len(ids), _CHUNK):
        statement = (
            select(p.crm_id, p.run_id, p.intent, p.did, p.planned_at, p.at)
            .filter_by(practice=place.practice, resource=place.resource, dry=False)
            .where(p.crm_id.in_(ids[at : at + _CHUNK]))
            .order_by(p.planned_at)
        )
        found |= {row["crm_id"]: dict(row) for row in connection.execute(statement).mappings()}
    return found


def forget(engine: Engine, place: Place, crm_id: str) -> None:
    """Let the watcher look at a patient anew: a person has chosen something about it."""
    with engine.begin() as connection:
        connection.execute(update(ecw_push).filter_by(**place.key(crm_id)).values(intent=""))


def _of_run(connection: Connection, place: Place, run_id: str) -> list[dict[str, Any]]:
    statement = select(ecw_push).filter_by(practice=place.practice, resource=place.resource, run_id=run_id)
    return [dict(row) for row in connection.execute(statement.order_by(p.position)).mappings()]


def _ids(engine: Engine, place: Place, run_id: str, *which: ColumnElement[bool]) -> list[str]:
    statement = select(p.crm_id).filter_by(practice=place.practice, resource=place.resource, run_id=run_id)
    with reading(engine) as connection:
        return list(connection.scalars(statement.where(*which).order_by(p.position)))


def names(fields: Iterable[str]) -> str | None:
    """Return names of columns as one text."""
    return ", ".join(sorted(fields)) or None
