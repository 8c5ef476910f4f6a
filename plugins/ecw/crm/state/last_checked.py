"""When eCW was last asked about the records of a patient, patient by patient: how old what the CRM has can be."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, and_, func, select

from ecw.crm.db.tables import ecw_checked, ecw_link
from ecw.crm.db.upsert import insert
from ecw.models import Run

CHUNK = 500  # ids in one statement: SQLite and PostgreSQL both take that many


@dataclass(frozen=True, slots=True)
class Ages:
    """How many patients a group has, when the one was asked about who waits longest, and of how many nobody has asked
    yet.
    """

    patients: int
    oldest: datetime | None
    never: int


def note(connection: Connection, run: Run, resource: str, patients: Iterable[str]) -> None:
    """Note in a load's transaction who was asked about: as of the end of the run's window, which is not later."""
    at = datetime.fromisoformat(run["window_end"])
    rest, c = iter(dict.fromkeys(patients)), ecw_checked
    while some := list(islice(rest, CHUNK)):
        statement = insert(connection, c)
        new = statement.excluded.checked_at
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(c.primary_key.columns), set_={"checked_at": new}, where=new > c.c.checked_at
            ),
            [
                {"practice": run["practice"], "resource": resource, "patient": patient, "checked_at": at}
                for patient in some
            ],
        )


def ages(connection: Connection, practice: str, resource: str, patients: Collection[str]) -> Ages:
    """Return how old what the CRM has of some patients is."""
    c, rest, found, oldest = ecw_checked, iter(patients), 0, None
    while some := list(islice(rest, CHUNK)):
        statement = select(func.count(), func.min(c.c.checked_at)).where(
            c.c.practice == practice, c.c.resource == resource, c.c.patient.in_(some)
        )
        number, first = connection.execute(statement).one()
        found += number
        oldest = min((each for each in (oldest, first) if each is not None), default=None)
    return Ages(len(patients), oldest, len(patients) - found)


def ages_of_all(connection: Connection, practice: str, resource: str) -> Ages:
    """Return how old what the CRM has of anybody is who is linked and not marked as gone, merged or the like."""
    c, link = ecw_checked, ecw_link
    same = and_(c.c.practice == link.c.practice, c.c.resource == resource, c.c.patient == link.c.ecw_id)
    statement = (
        select(func.count(), func.count(c.c.checked_at), func.min(c.c.checked_at))
        .select_from(link.outerjoin(c, same))
        .where(link.c.practice == practice, link.c.resource == "patient", link.c.status.is_(None))
    )
    patients, asked, oldest = connection.execute(statement).one()
    return Ages(patients, oldest, patients - asked)
