"""Dismiss rejects: a person has read them and decides that their records stay out of the CRM.

A dismissal holds for the record's content that the person saw: a reject of another content is open again.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Engine, select, update

from ecw.crm.db.enums import RejectState
from ecw.crm.db.tables import ecw_reject
from ecw.crm.journal import Choice, decided
from ecw.errors import ConfigurationError

MOST = 500  # the most records of one decision
MAX_NOTE = 500  # characters


def dismiss(engine: Engine, practice: str, resource: str, ecw_ids: Collection[str], by: str, note: str) -> int:
    """Dismiss the open rejects of records; return how many records had one.

    The journal records the person, the time and the note.

    Raises ConfigurationError if the note is empty or too long, or for too many records.
    """
    if not note.strip() or len(note) > MAX_NOTE:
        raise ConfigurationError(
            f"A dismissal needs a note of 1 to {MAX_NOTE} characters.",
            next_step="write why the record may stay out, without a patient's data.",
        )
    return _decide(engine, practice, resource, ecw_ids, _Change(RejectState.OPEN, RejectState.DISMISSED, by, note))


def reopen(engine: Engine, practice: str, resource: str, ecw_ids: Collection[str], by: str) -> int:
    """Reopen the dismissed rejects of records; return how many records had one."""
    return _decide(engine, practice, resource, ecw_ids, _Change(RejectState.DISMISSED, RejectState.OPEN, by, ""))


class _Change:
    def __init__(self, before: RejectState, after: RejectState, by: str, note: str) -> None:
        self.before, self.after, self.by, self.note = before, after, by, note.strip()


def _decide(engine: Engine, practice: str, resource: str, ecw_ids: Collection[str], change: _Change) -> int:
    if len(ecw_ids) > MOST:
        raise ConfigurationError(
            f"{len(ecw_ids)} records are too many for one decision.", next_step=f"choose at most {MOST} records."
        )
    r = ecw_reject.c
    scope: tuple[ColumnElement[bool], ...] = (r.practice == practice, r.resource == resource, r.state == change.before)
    with engine.begin() as connection:
        with_reject = sorted(set(connection.scalars(select(r.ecw_id).where(*scope, r.ecw_id.in_(set(ecw_ids))))))
        connection.execute(update(ecw_reject).where(*scope, r.ecw_id.in_(with_reject)).values(state=change.after))
        for ecw_id in with_reject:
            after = f"{change.after}: {change.note}" if change.note else str(change.after)
            decided(connection, practice, resource, _choice(ecw_id, change, after))
    return len(with_reject)


def _choice(ecw_id: str, change: _Change, after: str) -> Choice:
    # The rejects of a push have the id `crm:<CRM id>`: see ecw.push.patient.rejects.
    crm_id = ecw_id.removeprefix("crm:") if ecw_id.startswith("crm:") else None
    return Choice("reject", change.by, str(change.before), after, crm_id, None if crm_id else ecw_id)
