"""A patient that was sent, and of whom nobody knows yet whether eCW took it, is met by a pull: it is no new patient.

A push that was killed or got no answer searches for its patient before it sends anything again.  A pull may come upon
the patient first; without this it would make a second row for it in the CRM.  Claimed is only what shows the very
content that was sent; anything else is for the push's own search, which asks a person where it is not certain.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Date, cast, exists, select, update

from ecw.agreement import Agreed, Row, echoes
from ecw.crm import agreed, journal
from ecw.crm.business import BusinessTable
from ecw.crm.stage import Stage
from ecw.crm.tables import ecw_intent, ecw_link
from ecw.words import Run

OPEN = ("sending", "unknown")  # the states of an intent whose outcome is not known
DONE = "done"
LEAST = 4  # columns that must show what was sent


def claim(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
    """Give the staged rows that are new and were sent by us to the CRM's rows that were sent."""
    i, link = ecw_intent, ecw_link
    linked = exists().where(
        link.c.practice == i.c.practice, link.c.resource == i.c.resource, link.c.crm_id == i.c.crm_id
    )
    unsettled = select(i.c.crm_id, i.c.sent).where(
        i.c.practice == run["practice"],
        i.c.resource == resource,
        i.c.operation == "create",
        i.c.state.in_(OPEN),
        i.c.sent.is_not(None),
        ~linked,
    )
    for crm_id, sent in connection.execute(unsettled).all():
        values = orjson.loads(sent)
        found = [row for row in _new(connection, stage, target, values) if _shows(values, row)]
        if len(found) == 1:
            _take(connection, stage, target, run, resource, crm_id, values, found[0])


def _new(connection: Connection, stage: Stage, target: BusinessTable, sent: Row) -> Any:
    """Return the new rows that have the dates that were sent."""
    s = stage.rows
    days = [
        stage.values[name] == target.converters[name](value)
        for name, value in sent.items()
        if value is not None and name in stage.values and isinstance(target.columns[name].type, Date)
    ]
    statement = select(s.c.seq, s.c.ecw_id, s.c.agreed_emr).where(s.c.fate.is_(None), *days)
    return connection.execute(statement).mappings().all() if days else []


def _shows(sent: Row, row: Any) -> bool:
    emr = orjson.loads(row["agreed_emr"])
    both = [name for name, value in sent.items() if value is not None and emr.get(name) is not None]
    return len(both) >= LEAST and all(echoes(sent[name], emr[name], row["ecw_id"]) for name in both)


def _take(
    connection: Connection,
    stage: Stage,
    target: BusinessTable,
    run: Run,
    resource: str,
    crm_id: str,
    sent: dict[str, Any],
    row: Any,
) -> None:
    s, i = stage.rows, ecw_intent
    key = select(target.key).where(cast(target.key, ecw_link.c.crm_id.type) == crm_id).scalar_subquery()
    connection.execute(update(s).where(s.c.seq == row["seq"], key.is_not(None)).values(crm_id=key, fate="update"))
    agreed.write(connection, run["practice"], resource, row["ecw_id"], Agreed(crm=dict(sent), sent=dict(sent)))
    mine: dict[str, Any] = {"practice": run["practice"], "resource": resource, "crm_id": crm_id}
    settled = {"state": DONE, "ecw_id": row["ecw_id"], "settled_at": datetime.now(UTC)}
    connection.execute(update(i).filter_by(**mine).values(**settled))
    journal.write(
        connection,
        **mine,
        run_id=run["run_id"],
        direction=journal.PUSH,
        operation="settle",
        outcome=DONE,
        words="A pull found it in eCW: the earlier attempt was done",
        ecw_id=row["ecw_id"],
    )
