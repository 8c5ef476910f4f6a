"""The initial sync: the first fetch of each patient's insurance finds old policies, which are no changes.

It is spread over hours or a day. The practice's first run about all patients notes every patient whose insurance it did
not query as due. What a load inserts for a due patient belongs to the initial sync, once. A patient who
is added later is never due: a policy of such a patient is a change.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, null, or_, select, true, update

from ecw.crm.db.enums import RejectState, StageAction
from ecw.crm.db.tables import ecw_initial_sync, ecw_link, ecw_reject
from ecw.crm.db.upsert import insert
from ecw.crm.load.stage import Stage
from ecw.models import Run

RESOURCE = "insurance"
PATIENT = "patient"  # of an insurance: the column of its reference
EVERYBODY = ""  # in the column `patient`: the row of the practice's first run about all patients
CHUNK = 500


def is_initial(connection: Connection, stage: Stage, run: Run, resource: str) -> ColumnElement[bool]:
    """Return the condition of the staged rows that belong to the initial sync.

    A row that the CRM had before and that is linked now belongs to it. A new policy does if its patient's insurance was
    not fetched before, or if the patient's first fetch found the policy and rejected it.
    """
    s, f, r = stage.rows, ecw_initial_sync, ecw_reject
    adopted = s.c.adopted.is_(true())
    if resource != RESOURCE or PATIENT not in stage.values:
        return adopted
    inserted = s.c.action == StageAction.INSERT
    first = _first_run(connection, run["practice"])
    if first is None:
        return or_(adopted, inserted)
    patient = func.substr(stage.values[PATIENT], len("Patient/") + 1)
    of_patient = and_(f.c.practice == run["practice"], f.c.patient == patient)
    due = exists().where(of_patient, f.c.run_id.is_(None))
    # Explicit, because SQLAlchemy would correlate with the enclosing select, the one of the rejects.
    first_fetch = func.coalesce(select(f.c.run_id).where(of_patient).correlate(s).scalar_subquery(), first)
    rejected_then = exists().where(
        r.c.practice == run["practice"],
        r.c.resource == resource,
        r.c.ecw_id == s.c.ecw_id,
        r.c.first_run == first_fetch,
    )
    return or_(adopted, and_(inserted, or_(due, rejected_then)))


def note_queried(connection: Connection, run: Run, queried: Iterable[str] | None, *, about_all: bool) -> None:
    """Note, in the load's transaction, whose insurance was fetched: the patients `queried`; None: all patients.

    `about_all` is true for a run about all patients, also if it leaves some of them to the next runs.
    """
    practice, run_id, f = run["practice"], run["run_id"], ecw_initial_sync
    begun = _first_run(connection, practice) is not None
    if not begun and about_all:
        connection.execute(insert(connection, f).values(practice=practice, patient=EVERYBODY, run_id=run_id))
        if queried is not None:
            _note_all_as_due(connection, practice)
    elif not begun:  # a run about some patients, before the first one about all
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


def _note_all_as_due(connection: Connection, practice: str) -> None:
    """Note every patient that is linked or rejected as due, except those whose insurance was fetched before."""
    for table, condition in ((ecw_link, ()), (ecw_reject, (ecw_reject.c.state == RejectState.OPEN,))):
        patients = select(literal(practice), table.c.ecw_id, null()).distinct()
        patients = patients.where(table.c.practice == practice, table.c.resource == PATIENT, *condition)
        statement = insert(connection, ecw_initial_sync).from_select(["practice", "patient", "run_id"], patients)
        connection.execute(statement.on_conflict_do_nothing())


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, CHUNK)):
        yield some
