"""Patients that a push created in eCW without hearing of it: a pull that finds one must not make a second row of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, cast, exists, select, update

from ecw.crm.db.converters import Unfit
from ecw.crm.db.enums import IntentState
from ecw.crm.db.tables import ecw_intent, ecw_link
from ecw.crm.load.shared_contacts import shared_contacts
from ecw.crm.load.stage import Stage, refuse
from ecw.crm.state import merge_base
from ecw.crm.state.practices import Rows
from ecw.identity.compare import Verdict, compare
from ecw.models import Run
from ecw.three_way_merge import MergeBase

SENDING, UNKNOWN, DONE, HELD = IntentState.SENDING, IntentState.UNKNOWN, IntentState.DONE, IntentState.HELD
OPEN = (SENDING, UNKNOWN)  # its outcome is not known

UNCONFIRMED_RULE = "unconfirmed create"  # of the reject
UNCONFIRMED = (
    "it may be the patient that a push has sent without hearing what happened to it; next: the next push finds out; "
    "where it holds the patient, `ecw matches list` shows whom to choose from, and the next pull loads the record."
)


def adopt_created(connection: Connection, stage: Stage, own: Rows, run: Run, resource: str) -> None:
    """Give new rows to the CRM's rows that they were made from, where a create whose outcome is not known was of the
    same person for certain (ecw.identity.compare), and one row only can be it.

    What was sent is agreed on then, so that the merge takes it for no change; and the intent is done.  Those that may
    be the person are rejected until the push has found out: in the CRM they would be there twice.
    """
    waiting: set[int] = set()
    target = own.target
    i = ecw_intent.c
    mine = {"practice": run["practice"], "resource": resource, "operation": "create"}
    link = ecw_link.c
    linked = exists().where(link.resource == resource, link.crm_id == i.crm_id)  # a row has one link
    opened = select(i.crm_id, i.sent).filter_by(**mine).where(i.state.in_(OPEN), i.sent.is_not(None), ~linked)
    for crm_id, sent in connection.execute(opened).all() if target.mapped.born else ():
        values: dict[str, Any] = orjson.loads(sent)
        found = _found(connection, stage, own, crm_id, values)
        if len(found) != 1 or found[0][3] != Verdict.SAME:
            waiting |= {seq for seq, *_ in found}  # the push searches, and holds it for a person
            continue
        [(seq, ecw_id, key, _)] = found
        s = stage.rows
        connection.execute(update(s).where(s.c.seq == seq).values(crm_id=key, fate="update", adopted=False))
        merge_base.write(connection, run["practice"], resource, ecw_id, MergeBase(crm=values, sent=values))
        connection.execute(
            update(ecw_intent)
            .filter_by(**mine, crm_id=crm_id)
            .values(state=DONE, ecw_id=ecw_id, settled_at=datetime.now(UTC))
        )
    refuse(connection, stage, dict.fromkeys(waiting, UNCONFIRMED), UNCONFIRMED_RULE)


def _found(
    connection: Connection, stage: Stage, own: Rows, crm_id: str, sent: Mapping[str, Any]
) -> list[tuple[int, str, Any, Verdict]]:
    """Return the new rows that may be the person that was sent: number, eCW id, the key of the CRM's row, how sure.

    None where that row has an eCW id already.
    """
    target = own.target
    key = target.key_of(crm_id)
    shared = shared_contacts(connection, target, key, target.mapped.contacts)
    person = target.mapped.person({**sent, **dict.fromkeys(shared)})
    born = target.mapped.born
    if born is None or not person.is_known:
        return []
    try:
        day = target.converters[born](sent[born])
    except (KeyError, Unfit):
        return []
    s, held = stage.rows, target.columns[target.mapped.key]
    mine = and_(cast(target.key, ecw_intent.c.crm_id.type) == crm_id, held.is_(None), own.mine)
    rows = connection.execute(
        select(s.c.seq, s.c.ecw_id, target.key, s.c.agreed_emr)
        .select_from(s.join(target.table, mine))
        .where(s.c.fate.is_(None), stage.values[born] == day)
    )
    found = [
        (seq, ecw_id, key, compare(person, target.mapped.person(orjson.loads(emr))).verdict)
        for seq, ecw_id, key, emr in rows
    ]
    return [one for one in found if one[3] != Verdict.DIFFERENT]
