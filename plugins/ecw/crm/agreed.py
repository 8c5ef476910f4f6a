"""What the CRM and eCW last agreed on, kept for each link."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ecw.agreement import Agreed
from ecw.crm.tables import ecw_agreed
from ecw.crm.upsert import upsert


def read(connection: Connection, practice: str, resource: str, ecw_id: str) -> Agreed:
    """Return what was agreed; where nothing was, an empty agreement."""
    statement = select(ecw_agreed).filter_by(practice=practice, resource=resource, ecw_id=ecw_id)
    found = connection.execute(statement).mappings().one_or_none()
    return Agreed.parse(found["emr"], found["crm"], found["sent"]) if found else Agreed()


def write(connection: Connection, practice: str, resource: str, ecw_id: str, agreed: Agreed) -> None:
    """Keep what is agreed now, in the caller's transaction."""
    key = {"practice": practice, "resource": resource, "ecw_id": ecw_id}
    upsert(connection, ecw_agreed, key, agreed.texts())
