"""When each patient's records of a resource were last queried in eCW: the age of the CRM's data at most."""

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
    """The ages of a group: the number of patients, the oldest time of a query, and how many were never queried."""

    patients: int
    oldest: datetime | None
    never: int


def note(connection: Connection, run: Run, resource: str, patients: Iterable[str]) -> None:
    """Note in a load's transaction which patients were queried, with the end of the run's window as the time.

    eCW was queried at that time or later, so the noted age is never too low.
    """
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
    """Return the ages of some patients' records."""
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
    """Return the ages of the records of all linked patients without a status such as deleted or merged."""
    c, link = ecw_checked, ecw_link
    same = and_(c.c.practice == link.c.practice, c.c.resource == resource, c.c.patient == link.c.ecw_id)
    statement = (
        select(func.count(), func.count(c.c.checked_at), func.min(c.c.checked_at))
        .select_from(link.outerjoin(c, same))
        .where(link.c.practice == practice, link.c.resource == "patient", link.c.status.is_(None))
    )
    patients, asked, oldest = connection.execute(statement).one()
    return Ages(patients, oldest, patients - asked)
