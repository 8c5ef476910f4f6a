"""Patients whose create got no answer from eCW: a pull that fetches one must not insert a second row for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, cast, exists, select, update

from ecw.crm.db.converters import Unfit
from ecw.crm.db.enums import IntentState, Operation, StageAction
from ecw.crm.db.tables import ecw_intent, ecw_link
from ecw.crm.load.shared_contacts import shared_contacts
from ecw.crm.load.stage import Stage, refuse
from ecw.crm.state import merge_base
from ecw.crm.state.practices import Rows
from ecw.identity.compare import Verdict, compare
from ecw.models import Run
from ecw.three_way_merge import MergeBase

SENDING, UNKNOWN, DONE, HELD = IntentState.SENDING, IntentState.UNKNOWN, IntentState.DONE, IntentState.HELD
OPEN = (SENDING, UNKNOWN)  # the outcome in eCW is not known

UNCONFIRMED_RULE = "unconfirmed create"  # of the reject
UNCONFIRMED = (
    "it may be a patient that a push sent without getting an answer; next: the next push searches eCW for the patient. "
    "If that push holds the patient, choose one of the candidates of `ecw matches list`. The next pull loads the "
    "record."
)


def adopt_created(connection: Connection, stage: Stage, own: Rows, run: Run, resource: str) -> None:
    """Link a new record to the CRM's row that it was created from.

    That is done if a create without a known outcome sent the same person for certain (ecw.identity.compare), and only
    one new record can be that person. The values that were sent become the merge base, so that the merge counts them
    as no change; and the intent is done. Records that may be the person are rejected until a push has searched for the
    patient: loaded now, the person could have two rows in the CRM.
    """
    waiting: set[int] = set()
    target = own.target
    i = ecw_intent.c
    creates = {"practice": run["practice"], "resource": resource, "operation": Operation.CREATE}
    link = ecw_link.c
    linked = exists().where(link.resource == resource, link.crm_id == i.crm_id)  # a row has one link
    unconfirmed = select(i.crm_id, i.sent).filter_by(**creates).where(i.state.in_(OPEN), i.sent.is_not(None), ~linked)
    for crm_id, sent in connection.execute(unconfirmed).all() if target.mapped.born else ():
        values: dict[str, Any] = orjson.loads(sent)
        candidates = _candidates(connection, stage, own, crm_id, values)
        if len(candidates) != 1 or candidates[0][3] != Verdict.SAME:
            waiting |= {seq for seq, *_ in candidates}  # the push searches, and holds the patient for a person
            continue
        [(seq, ecw_id, key, _)] = candidates
        s = stage.rows
        connection.execute(update(s).where(s.c.seq == seq).values(crm_id=key, action=StageAction.UPDATE, adopted=False))
        merge_base.write(connection, run["practice"], resource, ecw_id, MergeBase(crm=values, sent=values))
        connection.execute(
            update(ecw_intent)
            .filter_by(**creates, crm_id=crm_id)
            .values(state=DONE, ecw_id=ecw_id, settled_at=datetime.now(UTC))
        )
    refuse(connection, stage, dict.fromkeys(waiting, UNCONFIRMED), UNCONFIRMED_RULE)


def _candidates(
    connection: Connection, stage: Stage, own: Rows, crm_id: str, sent: Mapping[str, Any]
) -> list[tuple[int, str, Any, Verdict]]:
    """Return the new records that may be the person that was sent: (seq, eCW id, key of the CRM's row, verdict).

    Returns none if the CRM's row has an eCW id already.
    """
    target = own.target
    key = target.key_of(crm_id)
    shared = shared_contacts(connection, target, key, target.mapped.contacts)
    person = target.mapped.person({**sent, **dict.fromkeys(shared)})
    born = target.mapped.born
    if born is None or not person.is_known:
        return []
    try:
        birth_date = target.converters[born](sent[born])
    except (KeyError, Unfit):
        return []
    s, ecw_id_column = stage.rows, target.columns[target.mapped.key]
    row_without_id = and_(cast(target.key, ecw_intent.c.crm_id.type) == crm_id, ecw_id_column.is_(None), own.mine)
    rows = connection.execute(
        select(s.c.seq, s.c.ecw_id, target.key, s.c.agreed_emr)
        .select_from(s.join(target.table, row_without_id))
        .where(s.c.action.is_(None), stage.values[born] == birth_date)
    )
    compared = [
        (seq, ecw_id, key, compare(person, target.mapped.person(orjson.loads(emr))).verdict)
        for seq, ecw_id, key, emr in rows
    ]
    return [each for each in compared if each[3] != Verdict.DIFFERENT]
