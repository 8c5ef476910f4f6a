"""The Integration Logs: what happened to which record, for the CRM's administrators.  Names of fields, never values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection, insert

from ecw.crm.tables import ecw_journal

PUSH, PULL = "push", "pull"


def write(
    connection: Connection,
    *,
    practice: str,
    resource: str,
    run_id: str,
    direction: str,
    operation: str,
    outcome: str,
    words: str,
    advice: str | None = None,
    crm_id: str | None = None,
    ecw_id: str | None = None,
    http_status: int | None = None,
    code: str | None = None,
    fields: Iterable[str] = (),
    seconds: float | None = None,
) -> None:
    """Add a row, in the caller's transaction."""
    connection.execute(
        insert(ecw_journal).values(
            practice=practice,
            entry=str(uuid4()),
            at=datetime.now(UTC),
            run_id=run_id,
            direction=direction,
            resource=resource,
            operation=operation,
            crm_id=crm_id,
            ecw_id=ecw_id,
            http_status=http_status,
            code=code,
            words=words,
            outcome=outcome,
            advice=advice or None,
            fields=", ".join(sorted(fields)) or None,
            seconds=None if seconds is None else round(seconds, 3),
        )
    )
