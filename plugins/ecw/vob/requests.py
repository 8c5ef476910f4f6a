"""Requests to verify benefits: from the journal of the pulls to the CRM's table `vob_request`.

A load writes its changes into the journal, in its own transaction. `crm_vob` reads every such entry once, and marks it
in the transaction that opens its request. So no change is missed and none opens two requests, even if a task is killed.
The entries that one load wrote about one patient are one change, and open one request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, Engine, Select, cast, func, or_, select, true, update

from ecw.crm.db.business_table import Mapped, find
from ecw.crm.db.engine import reading
from ecw.crm.db.enums import Direction
from ecw.crm.db.errors import working
from ecw.crm.db.tables import ecw_journal, ecw_link
from ecw.crm.load.initial_sync import PATIENT
from ecw.crm.load.load import one_at_a_time
from ecw.errors import CrmSchemaError
from ecw.vob.table import DOING, OPEN, key_as, vob_table

NONE = ""  # the mark of an entry that opened no request
FOLLOWED = ("patient", "insurance")
CHUNK = 500
log = logging.getLogger(__name__)


class Load(NamedTuple):
    """One run's load of one resource."""

    run_id: str
    resource: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The numbers of opened requests, and of journal entries that opened none, by reason."""

    opened: int = 0
    include_initial_sync: int = 0  # entries of records that an initial sync fetched: existing ones, not changed
    too_many: int = 0  # entries of loads that would have opened more than `max_requests_per_load`

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.opened + other.opened,
            self.include_initial_sync + other.include_initial_sync,
            self.too_many + other.too_many,
        )

    def __str__(self) -> str:
        return (
            f"{self.opened} requests opened; {self.include_initial_sync} changes of an initial sync "
            f"and {self.too_many} changes of too large loads opened none"
        )

    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return {"opened": self.opened, "include_initial_sync": self.include_initial_sync, "too_many": self.too_many}


@dataclass(slots=True)
class _Change:
    """The changes that one load made to one patient."""

    patient_id: str | None
    entries: list[str] = field(default_factory=list)
    records: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def loads(engine: Engine, practice: str, of_run: str = "") -> list[Load]:
    """Return the loads with unread entries, the oldest first.

    With `of_run`: that run's loads with entries that are unread or opened no request.
    """
    j = ecw_journal
    statement = select(j.c.run_id, j.c.resource).where(*_followed(practice), _unread(again=bool(of_run)))
    if of_run:
        statement = statement.where(j.c.run_id == of_run)
    with reading(engine) as connection:
        rows = connection.execute(statement.group_by(j.c.run_id, j.c.resource).order_by(func.min(j.c.at)))
        return [Load(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens the requests of loads, with the settings of a practice."""

    engine: Engine
    practice: str
    insurance: Mapped
    matters: Callable[[str, str, str | None], frozenset[str]]  # resource, operation, fields -> those that matter
    include_initial_sync: bool
    max_requests_per_load: int
    delivery: str

    def of_load(self, load: Load, *, again: bool = False) -> Opened:
        """Open the requests of one load and mark its entries, in one transaction.

        `again` also reads the entries that opened no request before, and ignores both limits (initial sync, number of
        requests), because a person asked for these requests.

        Raises CrmSchemaError, DatabaseUnavailable.
        """
        with working(DOING), self.engine.begin() as connection:
            # Loads of the resource wait meanwhile, so that every entry that is marked has been read.
            one_at_a_time(connection, self.practice, load.resource)
            entries = (
                *_followed(self.practice),
                _unread(again=again),
                ecw_journal.c.run_id == load.run_id,
                ecw_journal.c.resource == load.resource,
            )
            initial = 0
            if not (self.include_initial_sync or again):
                initial = _mark(connection, (*entries, ecw_journal.c.initial_sync.is_(true())), NONE)
                if initial:
                    log.info("%s: %d changes of an initial sync open no request.", load.resource, initial)
            changes = self._changes(
                connection, load, entries, max_requests_per_load=None if again else self.max_requests_per_load
            )
            if changes is None:
                too_many = _mark(connection, entries, NONE)
                log.warning(
                    "%s: the run %s would open more than %d requests, so it opens none. If they are wanted, trigger "
                    "crm_vob with that run in its form; the connection's extra field `vob` sets the number.",
                    *(load.resource, load.run_id, self.max_requests_per_load),
                )
                return Opened(include_initial_sync=initial, too_many=too_many)
            opened = self._insert(connection, load, changes)
            _mark(connection, entries, NONE)
        if opened:
            log.info("%s: the run %s opens %d requests.", load.resource, load.run_id, opened)
        return Opened(opened=opened, include_initial_sync=initial)

    def _changes(
        self,
        connection: Connection,
        load: Load,
        entries: tuple[ColumnElement[bool], ...],
        *,
        max_requests_per_load: int | None,
    ) -> dict[str, _Change] | None:
        """Return the changes that matter by the patient's eCW id; None if they exceed `max_requests_per_load`."""
        changes: dict[str, _Change] = {}
        without_patient = 0
        statement = self._entries(connection, load.resource).where(*entries).order_by(ecw_journal.c.entry)
        for entry, operation, fields, ecw_id, patient, patient_id in connection.execute(statement):
            names = self.matters(load.resource, operation, fields)
            if not names:
                continue
            if not patient:
                without_patient += 1
                continue
            change = changes.setdefault(patient, _Change(patient_id))
            change.entries.append(entry)
            change.records.add(ecw_id)
            change.fields |= names
            if max_requests_per_load is not None and len(changes) > max_requests_per_load:
                return None
        if without_patient:
            log.warning(
                "%s: %d changed rows are no longer in the CRM and open no request.", load.resource, without_patient
            )
        return changes

    def _entries(self, connection: Connection, resource: str) -> Select[Any]:
        """Select the journal's entries, each with the patient's eCW id and CRM id."""
        j, link = ecw_journal, ecw_link
        columns = (j.c.entry, j.c.operation, j.c.fields, j.c.ecw_id)
        if resource == "patient":
            return select(*columns, j.c.ecw_id, j.c.crm_id)
        target = find(connection, self.insurance)
        if PATIENT not in target.columns:
            raise CrmSchemaError(
                f"The mapping of insurance fills no column {PATIENT} of {target.mapped.table}.",
                next_step=f"name the column of the reference to the patient {PATIENT} in insurance.yaml.",
            )
        patient = func.substr(target.columns[PATIENT], len("Patient/") + 1)
        linked = (link.c.practice == self.practice) & (link.c.resource == "patient") & (link.c.ecw_id == patient)
        return (
            select(*columns, patient, link.c.crm_id)
            .select_from(j)
            .outerjoin(target.table, target.key == cast(j.c.crm_id, target.key.type))
            .outerjoin(link, linked)
        )

    def _insert(self, connection: Connection, load: Load, changes: dict[str, _Change]) -> int:
        if not changes:
            return 0
        table = vob_table(connection)
        now = datetime.now(UTC)
        opened = 0
        for patient, change in changes.items():
            key = change.entries[0]
            row = {
                "key": key,
                "practice": self.practice,
                "patient_id": key_as(table.c.patient_id, change.patient_id),
                "patient_ecw_id": patient,
                "resource": load.resource,
                "record_ecw_ids": ", ".join(sorted(change.records)),
                "change": ", ".join(sorted(change.fields)),
                "run_id": load.run_id,
                "requested_at": now,
                "state": OPEN,
                "delivery": self.delivery,
                "attempts": 0,
            }
            connection.execute(table.insert().values(row))
            for start in range(0, len(change.entries), CHUNK):
                chunk = change.entries[start : start + CHUNK]
                _mark(connection, (ecw_journal.c.practice == self.practice, ecw_journal.c.entry.in_(chunk)), key)
            opened += 1
        return opened


def _followed(practice: str) -> tuple[ColumnElement[bool], ...]:
    j = ecw_journal
    return j.c.practice == practice, j.c.direction == Direction.PULL, j.c.resource.in_(FOLLOWED)


def _unread(*, again: bool) -> ColumnElement[bool]:
    """Return the condition for unread entries; `again`: also for those that opened no request."""
    unread = ecw_journal.c.vob.is_(None)
    return or_(unread, ecw_journal.c.vob == NONE) if again else unread


def _mark(connection: Connection, chosen: tuple[ColumnElement[bool], ...], mark: str) -> int:
    return connection.execute(update(ecw_journal).where(*chosen).values(vob=mark)).rowcount
