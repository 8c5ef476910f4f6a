"""Erase a patient from the bookkeeping: every row about the patient, or about a record of the patient.

The CRM's own tables and eCW are not changed. The CRM must erase its row itself. What eCW still has, the next pull loads
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Engine, Table, cast, delete, false, or_, select

from ecw.crm.db.business_table import Mapped, find
from ecw.crm.db.engine import reading
from ecw.crm.db.errors import working
from ecw.crm.db.tables import (
    ecw_claim,
    ecw_deferred_row,
    ecw_field_change,
    ecw_link,
    ecw_run,
    metadata,
)
from ecw.crm.state.runs import RUNNING
from ecw.errors import ConcurrentRun

PATIENT = "patient"
_IDS_PER_STATEMENT = 500


@dataclass(slots=True)
class Records:
    """The records about one patient: the ids of both sides, by resource."""

    ecw_ids: dict[str, set[str]] = field(default_factory=dict)
    crm_ids: dict[str, set[str]] = field(default_factory=dict)

    def add(self, resource: str, ecw_ids: Iterable[str] = (), crm_ids: Iterable[str] = ()) -> None:
        """Add records."""
        self.ecw_ids.setdefault(resource, set()).update(ecw_ids)
        self.crm_ids.setdefault(resource, set()).update(crm_ids)

    @property
    def references(self) -> list[str]:
        """The references to the patient in other records: `Patient/<eCW id>`."""
        return [f"Patient/{ecw_id}" for ecw_id in sorted(self.ecw_ids.get(PATIENT, ()))]


def require_quiet(engine: Engine, practice: str) -> None:
    """Raise ConcurrentRun if a run of the practice is working: its batches must not change meanwhile."""
    statement = select(ecw_run.c.run_id).where(ecw_run.c.practice == practice, ecw_run.c.state == RUNNING).limit(1)
    with reading(engine) as connection:
        if (run_id := connection.scalar(statement)) is not None:
            raise ConcurrentRun(
                f"The run {run_id} is working.",
                next_step="wait until it is over, pause ecw_pull meanwhile, and run `ecw forget` again.",
                who="whoever runs the command",
            )


def related(
    engine: Engine, practice: str, ecw_ids: Iterable[str], crm_ids: Iterable[str], others: Mapping[str, Mapped]
) -> Records:
    """Return the patient's linked records; `others` are the mappings of the resources that may refer to a patient."""
    found = Records()
    link = ecw_link.c
    with reading(engine) as connection:
        of_patient = or_(link.ecw_id.in_(list(ecw_ids)), link.crm_id.in_(list(crm_ids)))
        linked = select(link.ecw_id, link.crm_id).where(link.practice == practice, link.resource == PATIENT, of_patient)
        found.add(PATIENT, ecw_ids, crm_ids)
        for ecw_id, crm_id in connection.execute(linked).all():
            found.add(PATIENT, [ecw_id], [crm_id])
        for resource, mapped in others.items():
            target = find(connection, mapped)
            refers = or_(*(target.columns[name].in_(found.references) for name in sorted(mapped.references)))
            statement = (
                select(link.ecw_id, link.crm_id)
                .join(target.table, target.key == cast(link.crm_id, target.key.type))
                .where(link.practice == practice, link.resource == resource, refers)
            )
            for ecw_id, crm_id in connection.execute(statement).all():
                found.add(resource, [ecw_id], [crm_id])
    return found


def forget(engine: Engine, practice: str, records: Records) -> dict[str, int]:
    """Delete every bookkeeping row about these records, in one transaction; return the numbers of rows by table."""
    gone: dict[str, int] = {}
    with working("The erasure of a patient"), engine.begin() as connection:
        for table in metadata.sorted_tables:
            count = sum(
                connection.execute(delete(table).where(*where)).rowcount
                for where in conditions(table, practice, records)
            )
            if count:
                gone[table.name] = count
    return {name: count for name, count in gone.items() if count}


def conditions(table: Table, practice: str, records: Records) -> Iterator[list[ColumnElement[bool]]]:
    """Yield the conditions of a table's rows that are about the records; they depend on which columns the table has."""
    c = table.c
    if table is ecw_field_change:  # written by a trigger, without a practice
        yield [c.table == PATIENT, c.crm_id.in_(sorted(records.crm_ids.get(PATIENT, ())))]
    if "practice" not in c:
        return
    patients = sorted(records.ecw_ids.get(PATIENT, ()))
    if "patient" in c:
        yield [c.practice == practice, c.patient.in_(patients)]
    if table is ecw_deferred_row:
        mentions = or_(false(), *(c.line.contains(f'"{one}"', autoescape=True) for one in records.references))
        yield [c.practice == practice, or_(mentions, c.missing_id.in_(patients))]
    if "resource" not in c:
        return
    for resource in records.ecw_ids.keys() | records.crm_ids.keys():
        crm_ids = sorted(records.crm_ids.get(resource, ()))
        ecw_ids = [*sorted(records.ecw_ids.get(resource, ())), *(f"crm:{crm_id}" for crm_id in crm_ids)]
        for name, ids in (("ecw_id", ecw_ids), ("crm_id", crm_ids), ("name" if table is ecw_claim else "", crm_ids)):
            for at in range(0, len(ids) if name in c else 0, _IDS_PER_STATEMENT):
                yield [c.practice == practice, c.resource == resource, c[name].in_(ids[at : at + _IDS_PER_STATEMENT])]
