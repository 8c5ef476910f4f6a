"""Patients that a push created in eCW without hearing of it: a pull that finds one must not make a second row of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, String, and_, cast, exists, select, update

from ecw.agreement import Agreed, fold
from ecw.crm import agreed
from ecw.crm.business import BusinessTable
from ecw.crm.convert import Unfit
from ecw.crm.stage import Stage
from ecw.crm.tables import ecw_intent, ecw_link
from ecw.words import Run

SENDING, UNKNOWN, DONE = "sending", "unknown", "done"  # states of an intent: ecw.push.intents has all of them
OPEN = (SENDING, UNKNOWN)  # its outcome is not known


def adopt_created(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Give new rows to the CRM's rows that they were made from: same name and birth date as a create whose outcome is
    not known, case and accents aside, and the only one of that kind.

    What was sent is agreed on then, so that the merge takes it for no change; and the intent is done.
    """
    i = ecw_intent.c
    mine = {"practice": run["practice"], "resource": resource, "operation": "create"}
    link = ecw_link.c
    linked = exists().where(link.resource == resource, link.crm_id == i.crm_id)  # a row has one link
    opened = select(i.crm_id, i.sent).filter_by(**mine).where(i.state.in_(OPEN), i.sent.is_not(None), ~linked)
    for crm_id, sent in connection.execute(opened).all():
        values: dict[str, Any] = orjson.loads(sent)
        found = _found(connection, stage, target, crm_id, values)
        if len(found) != 1:
            continue  # nobody, or more than one: the push searches, and holds it for a person
        [(seq, ecw_id, key)] = found
        s = stage.rows
        connection.execute(update(s).where(s.c.seq == seq).values(crm_id=key, fate="update"))
        agreed.write(connection, run["practice"], resource, ecw_id, Agreed(crm=values, sent=values))
        connection.execute(
            update(ecw_intent)
            .filter_by(**mine, crm_id=crm_id)
            .values(state=DONE, ecw_id=ecw_id, settled_at=datetime.now(UTC))
        )


def _found(
    connection: Connection, stage: Stage, target: BusinessTable, crm_id: str, sent: Mapping[str, Any]
) -> list[tuple[int, str, Any]]:
    """Return the new rows that say of the person what was sent: number, eCW id, and the key of the CRM's row.

    None where that row has an eCW id already, or what was sent is too little to tell a person.
    """
    identity = target.mapped.identity
    if not identity or any(sent.get(name) is None for name in identity):
        return []
    # eCW may spell a name in its own way: compared as the push's search compares (ecw.push.match).
    texts = [name for name in identity if isinstance(target.columns[name].type, String)]
    try:
        same = [stage.values[name] == target.converters[name](sent[name]) for name in identity if name not in texts]
    except Unfit:
        return []
    s, held = stage.rows, target.columns[target.mapped.key]
    mine = and_(cast(target.key, ecw_intent.c.crm_id.type) == crm_id, held.is_(None))
    rows = connection.execute(
        select(s.c.seq, s.c.ecw_id, target.key, *(stage.values[name] for name in texts))
        .select_from(s.join(target.table, mine))
        .where(s.c.fate.is_(None), *same)
    )
    wanted = [fold(sent[name]) for name in texts]
    return [(seq, ecw_id, key) for seq, ecw_id, key, *said in rows if [fold(each or "") for each in said] == wanted]
