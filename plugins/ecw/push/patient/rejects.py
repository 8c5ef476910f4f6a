"""Store patients that cannot be sent as they are in ecw_reject, one row for each field."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from ecw.crm.db.enums import RejectStep
from ecw.crm.db.tables import ecw_reject
from ecw.crm.db.upsert import upsert
from ecw.crm.load.quarantine import HOLDS, OPEN, RESOLVED
from ecw.push.intents import Place
from ecw.push.rules.validate import Finding


def replace(connection: Connection, place: Place, crm_id: str, run_id: str, findings: Iterable[Finding]) -> None:
    """Open a reject for each finding and resolve the patient's other rejects, in the caller's transaction.

    A patient that is not linked has no eCW id, so the rejects of a push have the id `crm:<CRM id>`.
    """
    key = {"practice": place.practice, "resource": place.resource, "ecw_id": f"crm:{crm_id}", "step": RejectStep.PUSH}
    c = ecw_reject.c
    known = {
        (row.rule, row.column): row.first_run
        for row in connection.execute(select(c.rule, c.column, c.first_run).filter_by(**key).where(c.state.in_(HOLDS)))
    }
    current = {(finding.rule, finding.field): finding for finding in findings}
    for rule, column in known.keys() - current.keys():
        connection.execute(
            update(ecw_reject)
            .filter_by(**key, rule=rule, column=column)
            .values(state=RESOLVED, resolved_run=run_id, last_run=run_id)
        )
    for (rule, column), finding in current.items():
        values = {
            "reason": f"{finding.reason}; next: {finding.next_step}",
            "state": OPEN,
            "first_run": known.get((rule, column), run_id),
            "last_run": run_id,
            "resolved_run": None,
        }
        upsert(connection, ecw_reject, key | {"rule": rule, "column": column}, values)
