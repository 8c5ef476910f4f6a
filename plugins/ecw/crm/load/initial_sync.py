"""The first look at everybody's insurance: what it brings was there before, and is not a change.

It takes turns, over hours or a day.  With the practice's first run that is about all patients we write down whom it has
not asked about: what a load brings of them is a first look, once.  Whoever comes to the practice later is not among
them, and a policy of theirs is news.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, null, or_, select, true, update

from ecw.crm.db.enums import RejectState
from ecw.crm.db.tables import ecw_initial_sync, ecw_link, ecw_reject
from ecw.crm.db.upsert import insert
from ecw.crm.load.stage import Stage
from ecw.models import Run

RESOURCE = "insurance"
PATIENT = "patient"  # of an insurance: the column of its reference
EVERYBODY = ""  # in the place of a patient: the practice's first run that is about all
CHUNK = 500


def brought(connection: Connection, stage: Stage, run: Run, resource: str) -> ColumnElement[bool]:
    """Return what says of a staged row that this load has it from a first look.

    A row that the CRM had before and that is linked now is one. A new policy is one while its patient's insurance was
    not fetched before, and when that first look had brought it and it could not enter yet.
    """
    s, f, r = stage.rows, ecw_initial_sync, ecw_reject
    adopted = s.c.adopted.is_(true())
    if resource != RESOURCE or PATIENT not in stage.values:
        return adopted
    inserted = s.c.fate == "insert"
    first = _first_run(connection, run["practice"])
    if first is None:
        return or_(adopted, inserted)
    patient = func.substr(stage.values[PATIENT], len("Patient/") + 1)
    its = and_(f.c.practice == run["practice"], f.c.patient == patient)
    due = exists().where(its, f.c.run_id.is_(None))
    # SQLAlchemy correlates with the next select around by itself, which is the one of the rejects.
    looked_in = func.coalesce(select(f.c.run_id).where(its).correlate(s).scalar_subquery(), first)
    held_back = exists().where(
        r.c.practice == run["practice"],
        r.c.resource == resource,
        r.c.ecw_id == s.c.ecw_id,
        r.c.first_run == looked_in,
    )
    return or_(adopted, and_(inserted, or_(due, held_back)))


def looked(connection: Connection, run: Run, queried: Iterable[str] | None, *, about_all: bool) -> None:
    """Write down, in the load's transaction, whose insurance was fetched: those asked about; None: whoever there is.

    `about_all`: the run is about all patients, although it may leave some of them to the next ones.
    """
    practice, run_id, f = run["practice"], run["run_id"], ecw_initial_sync
    begun = _first_run(connection, practice) is not None
    if not begun and about_all:
        connection.execute(insert(connection, f).values(practice=practice, patient=EVERYBODY, run_id=run_id))
        if queried is not None:
            _all_are_due(connection, practice)
    elif not begun:  # a run about a few, before the one about all
        for some in _chunks(queried or ()):
            rows = [{"practice": practice, "patient": patient, "run_id": run_id} for patient in some]
            connection.execute(insert(connection, f).on_conflict_do_nothing(), rows)
        return
    due = and_(f.c.practice == practice, f.c.run_id.is_(None))
    if not connection.execute(select(exists().where(due))).scalar():
        return
    if queried is None:
        if about_all:
            connection.execute(update(f).where(due).values(run_id=run_id))
        return
    for some in _chunks(queried):
        connection.execute(update(f).where(due, f.c.patient.in_(some)).values(run_id=run_id))


def _first_run(connection: Connection, practice: str) -> str | None:
    """Return the practice's first run that was about all patients' insurance."""
    statement = select(ecw_initial_sync.c.run_id).filter_by(practice=practice, patient=EVERYBODY)
    return connection.execute(statement).scalar()


def _all_are_due(connection: Connection, practice: str) -> None:
    """Let everybody be due who is known, and whoever is only refused; who was fetched before keeps that."""
    for known, more in ((ecw_link, ()), (ecw_reject, (ecw_reject.c.state == RejectState.OPEN,))):
        patients = select(literal(practice), known.c.ecw_id, null()).distinct()
        patients = patients.where(known.c.practice == practice, known.c.resource == PATIENT, *more)
        statement = insert(connection, ecw_initial_sync).from_select(["practice", "patient", "run_id"], patients)
        connection.execute(statement.on_conflict_do_nothing())


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, CHUNK)):
        yield some
