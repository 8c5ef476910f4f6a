"""The plan of a push run and the result of each patient, in ecw_push_item.

Each result is stored at once, so that a killed run continues where it stopped and its summary covers all patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, Update, delete, insert, or_, select, update

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import WRITTEN, PushStatus
from ecw.crm.db.tables import ecw_push_item
from ecw.crm.journal import Choice, decided
from ecw.models import Push
from ecw.push.intents import Place

KEEP = timedelta(days=30)  # of the plans; the journal has its own retention time
WAITING, NOT_APPROVED, NOT_TRIED = PushStatus.WAITING, PushStatus.NOT_APPROVED, PushStatus.NOT_TRIED
UNFINISHED = (  # a retry of the run pushes them again
    *(PushStatus.LATER, PushStatus.UNKNOWN, PushStatus.BUSY),
    *(PushStatus.STOPPED, PushStatus.FAILED, PushStatus.NOT_TRIED),
)
ASKED = (WAITING, NOT_APPROVED)  # an approval was asked for and not given
_SENT = (*WRITTEN, PushStatus.UNKNOWN)
_CHUNK = 500  # ids in one statement
p = ecw_push_item.c


@dataclass(frozen=True, slots=True)
class Planned:
    """A patient of a run: the operation, and the digest of the content at the time of the plan."""

    crm_id: str
    operation: str
    intent: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The patients of a run in order.  `waiting`: for an approval; `auto_started`: the watcher started the run."""

    patients: Sequence[Planned]
    dry: bool
    waiting: bool
    auto_started: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """The status, reason and next step of patients that a run did not push."""

    status: PushStatus
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Progress:
    """One run's plan in the CRM, and the result of each of its patients."""

    engine: Engine
    place: Place
    run_id: str

    @classmethod
    def of(cls, engine: Engine, push: Push) -> Self:
        """Return the progress of a run."""
        return cls(engine, Place.of(push), push["run_id"])

    def plan(self, plan: Plan) -> list[dict[str, Any]]:
        """Store the run's plan, unless it already has one; return the rows of the stored plan.

        Plans of the practice that are older than KEEP are deleted.
        """
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            old = delete(ecw_push_item).where(p.practice == self.place.practice, p.planned_at < now - KEEP)
            connection.execute(old)
            before = self._rows(connection)
            if before or not plan.patients:
                return before
            connection.execute(insert(ecw_push_item), [self._item(plan, at, now) for at in range(len(plan.patients))])
            return self._rows(connection)

    def rows(self) -> list[dict[str, Any]]:
        """Return the run's rows in their order."""
        with reading(self.engine) as connection:
            return self._rows(connection)

    def counts(self) -> dict[str, int]:
        """Return the number of patients by status."""
        return dict(Counter(row["status"] or NOT_TRIED.value for row in self.rows()))

    def to_do(self) -> list[str]:
        """Return the CRM ids that the run has not finished, in their order."""
        return self._ids(or_(p.status.is_(None), p.status.in_(UNFINISHED)))

    def to_confirm(self) -> list[str]:
        """Return the CRM ids that the run has written into eCW and not read back."""
        return self._ids(p.status.in_(WRITTEN), p.confirmed.is_(None), ~p.dry)

    def note(self, crm_id: str, **values: Any) -> None:
        """Store the result of one patient, or of its readback."""
        with self.engine.begin() as connection:
            note_within(connection, self.place, self.run_id, crm_id, **values)

    def note_rest(self, of: Collection[str | None], ending: Ending) -> None:
        """Store the same result for all patients with one of these statuses; None stands for those not begun."""
        statuses = [status for status in of if status is not None]
        with self.engine.begin() as connection:
            connection.execute(
                self._update()
                .where(or_(p.status.in_(statuses), *([p.status.is_(None)] if None in of else [])))
                .values(asdict(ending) | {"at": datetime.now(UTC)})
            )

    def approve(self, by: str) -> None:
        """Record an approval: the patients that waited for it, or were not approved at first, can be pushed."""
        with self.engine.begin() as connection:
            before = self._asked(connection)
            not_begun = {"status": None, "reason": None, "next_step": None, "at": None}
            connection.execute(self._update().where(p.status.in_(ASKED)).values(not_begun))
            self._journal(connection, by, before, "approved")

    def reject(self, by: str) -> None:
        """Record in the journal who rejected the push; `note_rest` stores the patients' status."""
        with self.engine.begin() as connection:
            self._journal(connection, by, self._asked(connection), NOT_APPROVED)

    def _journal(self, connection: Connection, by: str, before: str | None, after: str) -> None:
        """Add a person's answer to the journal, if an approval was asked for."""
        if before is not None:
            answer = Choice("approve", by, before, after, run_id=self.run_id)
            decided(connection, self.place.practice, self.place.resource, answer)

    def _asked(self, connection: Connection) -> str | None:
        """Return the state of the approval, waiting or not approved; None if the run asks for none."""
        return connection.scalar(select(p.status).filter_by(**self._key).where(p.status.in_(ASKED)).limit(1))

    def _item(self, plan: Plan, position: int, now: datetime) -> dict[str, Any]:
        one = plan.patients[position]
        return {
            **self.place.key(one.crm_id),
            "run_id": self.run_id,
            "position": position,
            "operation": one.operation,
            "intent": one.intent,
            "dry": plan.dry,
            "planned_at": now,
            "status": WAITING if plan.waiting else None,
            "auto_started": plan.auto_started,
        }

    @property
    def _key(self) -> dict[str, Any]:
        return {"practice": self.place.practice, "resource": self.place.resource, "run_id": self.run_id}

    def _update(self) -> Update:
        return update(ecw_push_item).filter_by(**self._key)

    def _rows(self, connection: Connection) -> list[dict[str, Any]]:
        statement = select(ecw_push_item).filter_by(**self._key).order_by(p.position)
        return [dict(row) for row in connection.execute(statement).mappings()]

    def _ids(self, *which: ColumnElement[bool]) -> list[str]:
        statement = select(p.crm_id).filter_by(**self._key).where(*which).order_by(p.position)
        with reading(self.engine) as connection:
            return list(connection.scalars(statement))


def note_within(connection: Connection, place: Place, run_id: str, crm_id: str, **values: Any) -> None:
    """Store the result of one patient, in the caller's transaction."""
    key = {**place.key(crm_id), "run_id": run_id}
    connection.execute(update(ecw_push_item).filter_by(**key).values(at=datetime.now(UTC), **values))


def is_waiting(connection: Connection, place: Place, since: datetime) -> bool:
    """Return True if a run that was planned since then waits for an approval."""
    waiting = select(p.crm_id).filter_by(practice=place.practice, resource=place.resource, dry=False, status=WAITING)
    return connection.execute(waiting.where(p.planned_at > since).limit(1)).first() is not None


def auto_started_since(connection: Connection, place: Place, since: datetime) -> dict[str, set[str]]:
    """Return the CRM ids that automatic runs have pushed or are to push, by operation."""
    statement = (
        select(p.operation, p.crm_id)
        .filter_by(practice=place.practice, resource=place.resource, dry=False, auto_started=True)
        .where(p.planned_at > since, or_(p.status.is_(None), p.status.in_(_SENT)))
    )
    by_operation: dict[str, set[str]] = {}
    for operation, crm_id in connection.execute(statement):
        by_operation.setdefault(operation, set()).add(crm_id)
    return by_operation


def latest(connection: Connection, place: Place, crm_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return each patient's row of the last run that planned it, by CRM id; dry runs do not count."""
    rows: dict[str, dict[str, Any]] = {}
    ids = sorted(crm_ids)
    for at in range(0, len(ids), _CHUNK):
        statement = (
            select(p.crm_id, p.run_id, p.intent, p.status, p.planned_at, p.at)
            .filter_by(practice=place.practice, resource=place.resource, dry=False)
            .where(p.crm_id.in_(ids[at : at + _CHUNK]))
            .order_by(p.planned_at)
        )
        rows |= {row["crm_id"]: dict(row) for row in connection.execute(statement).mappings()}
    return rows


def forget(engine: Engine, place: Place, crm_id: str) -> None:
    """Make a patient due for the watcher again, because a person has made a choice about it."""
    with engine.begin() as connection:
        connection.execute(update(ecw_push_item).filter_by(**place.key(crm_id)).values(intent=""))


def names(fields: Iterable[str]) -> str | None:
    """Return names of columns as one text, or None if there are none."""
    return ", ".join(sorted(fields)) or None
