"""The decision of a person about a link whose sides may be two persons: the same person, or unlink them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, update

from ecw.crm import journal
from ecw.crm.db.business_table import Mapped, find
from ecw.crm.db.enums import Direction, JournalOutcome
from ecw.crm.db.tables import ecw_conflict, ecw_intent, ecw_link, ecw_merge_base
from ecw.crm.db.upsert import upsert
from ecw.crm.load import references
from ecw.crm.load.identity import RUNG
from ecw.crm.load.load import one_at_a_time
from ecw.crm.state import conflicts, edit_times
from ecw.errors import ConfigurationError
from ecw.mapping.transform.person import element_of
from ecw.push import intents, progress
from ecw.push.context import CrmSide
from ecw.push.crm_records import Record
from ecw.push.intents import HELD, NEW, UPDATE, VOID
from ecw.push.locks import alone
from ecw.three_way_merge import MergeBase

LIST = "`ecw matches list` shows the held patients."
BUSY = "wait until the push or pull of this patient ends, and try again in a minute."


def same_person(side: CrmSide, crm_id: str, emr: Mapping[str, Any], by: str) -> None:
    """Record that the present row and eCW's record are one person, so that their differences are pulled and pushed.

    `emr` is the mapped row of eCW's record.  Raises ConfigurationError if the patient is not held for its identity.
    """
    place = side.place

    def decide(connection: Connection, record: Record) -> None:
        held = intents.latest(connection, place, record.crm_id)
        if held is None or (held.state, held.match_rule) != (HELD, RUNG) or not record.linked:
            raise ConfigurationError(f"The identity of the CRM's patient {record.crm_id} is not held.", next_step=LIST)
        side.patients.confirm(connection, record, record.ecw_id or "", emr)
        side.patients.write(connection, record.crm_id, {side.mapping.key: record.ecw_id})
        side.patients.forget_hash(connection, record.ecw_id or "")
        intents.settle(connection, place, record.crm_id, VOID)
        _log(connection, side, record, "same person", f"The same person: decided by {by}")

    _decided(side, crm_id, decide)


def unlink(side: CrmSide, crm_id: str, by: str, followers: Mapping[str, Mapped] | None = None) -> str:
    """Delete the link and clear the numbers from eCW in the row; return the eCW id that the row was linked to.

    The next push searches eCW for the row's person, and never links it to the former eCW record. The next pull inserts
    a new row for that record, and moves its `followers` (insurance, encounters; by resource) to the new row.

    Raises ConfigurationError if the row has no link.
    """
    place, former = side.place, ""

    def decide(connection: Connection, record: Record) -> None:
        nonlocal former
        if not record.linked or record.ecw_id is None:
            raise ConfigurationError(f"The CRM's patient {record.crm_id} has no link.", next_step=LIST)
        former, numbers = record.ecw_id, _numbers_of_ecw(side, record)
        side.patients.write(connection, record.crm_id, dict.fromkeys([side.mapping.key, *sorted(numbers)]))
        key = {"practice": place.practice, "resource": place.resource, "ecw_id": record.ecw_id}
        for table in (ecw_link, ecw_merge_base):
            connection.execute(delete(table).filter_by(**key))
        for resource, mapped in (followers or {}).items():
            whose = edit_times.Whose(place.practice, resource)
            reference = f"{side.mapping.resource}/{record.ecw_id}"
            references.forget(connection, find(connection, mapped), whose, reference)
        of_row = {"practice": place.practice, "resource": place.resource, "crm_id": record.crm_id}
        open_conflicts = update(ecw_conflict).filter_by(**of_row, state=conflicts.OPEN)
        connection.execute(open_conflicts.values(state=conflicts.SETTLED))
        now = datetime.now(UTC)
        values: dict[str, Any] = {"intent": "", "operation": UPDATE, "state": VOID, "ecw_id": None, "sent": None}
        values |= {"attempts": 0, "decided_at": now, "settled_at": now, "run_id": "", "match_rule": RUNG, "choice": NEW}
        upsert(connection, ecw_intent, of_row, values | {"candidates": orjson.dumps([record.ecw_id]).decode()})
        _log(connection, side, record, "unlink", f"Unlinked: decided by {by}", numbers)

    _decided(side, crm_id, decide)
    return former


def _numbers_of_ecw(side: CrmSide, record: Record) -> set[str]:
    """Return the columns of the row that hold identifiers from eCW."""
    agreed = record.agreed or MergeBase()
    return {
        column.name
        for column in side.mapping.columns
        if element_of(column.steps) == "identifier"
        and record.row.get(column.name) is not None
        and record.row[column.name] in (agreed.emr.get(column.name), record.ecw_id)
    }


def _decided(side: CrmSide, crm_id: str, decide: Callable[[Connection, Record], None]) -> None:
    with alone(side.engine, side.place, crm_id) as claim:
        if claim is None:
            raise ConfigurationError(f"The CRM's patient {crm_id} is being pushed.", next_step=BUSY)
        with side.engine.begin() as connection:
            claim.keep(connection)
            one_at_a_time(connection, side.place.practice, side.place.resource)
            record = side.patients.read(connection, crm_id, to_write=True)
            if record is None:
                raise ConfigurationError(f"The CRM has no patient {crm_id}.", next_step=LIST)
            decide(connection, record)
    progress.forget(side.engine, side.place, crm_id)


def _log(
    connection: Connection,
    side: CrmSide,
    record: Record,
    operation: str,
    message: str,
    fields: Iterable[str] = (),
) -> None:
    journal.write(
        connection,
        journal.JournalEntry(
            practice=side.place.practice,
            resource=side.place.resource,
            run_id="",
            direction=Direction.PUSH,
            operation=operation,
            outcome=JournalOutcome.DONE,
            message=message,
            crm_id=record.crm_id,
            ecw_id=record.ecw_id,
            fields=tuple(fields),
        ),
    )
