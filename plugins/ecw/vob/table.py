"""The CRM's table `vob_request`: reading the waiting requests and storing the results of their delivery.

A migration creates the table unless the CRM has its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, Uuid, inspect, select, update

from ecw.crm.db.engine import reading
from ecw.crm.db.errors import working
from ecw.crm.db.tables import UtcTime
from ecw.errors import CrmSchemaError

TABLE = "vob_request"
DOING = "The requests to verify benefits"
EXAMPLE = "the migration v0001_first.py"
OPEN = "open"  # the only state that the project sets; the CRM sets all others
WAITING, DELIVERED, REFUSED, NOT_DELIVERED = "waiting", "delivered", "refused", "none"  # the delivery
COLUMNS = (
    *("key", "practice", "patient_id", "patient_ecw_id", "resource", "record_ecw_ids", "change", "run_id"),
    *("requested_at", "state", "delivery", "attempts", "sent_at", "delivery_note"),
)


def waiting(engine: Engine, practice: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the requests to be delivered, the oldest first, as pairs of key and body.

    Raises CrmSchemaError, DatabaseUnavailable.
    """
    with working(DOING), reading(engine) as connection:
        t = vob_table(connection)
        statement = select(t).where(t.c.practice == practice, t.c.delivery == WAITING)
        rows = connection.execute(statement.order_by(t.c.requested_at, t.c.key)).mappings().all()
    return [(row["key"], _body(row)) for row in rows]


def settle(engine: Engine, practice: str, key: str, delivery: str, note: str | None) -> None:
    """Store the result of an attempt to deliver a request."""
    with working(DOING), engine.begin() as connection:
        t = vob_table(connection)
        values: dict[str, Any] = {"delivery": delivery, "attempts": t.c.attempts + 1, "delivery_note": note}
        if delivery == DELIVERED:
            values["sent_at"] = datetime.now(UTC)
        connection.execute(update(t).where(t.c.practice == practice, t.c.key == key).values(values))


def _body(row: Any) -> dict[str, Any]:
    patient_id = row["patient_id"]
    return {
        "key": row["key"],
        "practice": row["practice"],
        "patient_id": str(patient_id) if isinstance(patient_id, UUID) else patient_id,
        "patient_ecw_id": row["patient_ecw_id"],
        "resource": row["resource"],
        "record_ecw_ids": row["record_ecw_ids"].split(", "),
        "change": row["change"].split(", "),
        "requested_at": row["requested_at"].isoformat(),
    }


def vob_table(connection: Connection) -> Table:
    """Return the CRM's table.

    Raises CrmSchemaError with all missing and all extra required columns.
    """
    inspector = inspect(connection)
    if not inspector.has_table(TABLE):
        raise CrmSchemaError(
            f"The CRM has no table {TABLE}.", next_step=f"create it: {EXAMPLE} shows the project's table."
        )
    columns = {column["name"]: column for column in inspector.get_columns(TABLE)}
    own_key = inspector.get_pk_constraint(TABLE)["constrained_columns"]
    problems = [f"it has no column {name}" for name in COLUMNS if name not in columns]
    problems += [
        f"column {name} is required, and the project does not fill it"
        for name, column in columns.items()
        if name not in COLUMNS and name not in own_key and not column["nullable"] and column["default"] is None
    ]
    if problems:
        raise CrmSchemaError(
            f"The CRM's table {TABLE} cannot take requests: {'; '.join(problems)}.",
            next_step=f"fix the table: {EXAMPLE} shows the project's.",
        )
    times = (Column(name, UtcTime) for name in ("requested_at", "sent_at"))
    return Table(TABLE, MetaData(), *times, autoload_with=connection, resolve_fks=False)


def key_as(column: Column[Any], crm_id: str | None) -> Any:
    """Return the key of a CRM row in the column's type."""
    if crm_id is None:
        return None
    if isinstance(column.type, Integer):
        return int(crm_id)
    return UUID(crm_id) if isinstance(column.type, Uuid) else crm_id
