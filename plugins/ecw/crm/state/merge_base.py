"""What the CRM and eCW last agreed on, kept for each link."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ecw.crm.db.tables import ecw_merge_base
from ecw.crm.db.upsert import upsert
from ecw.three_way_merge import MergeBase


def read(connection: Connection, practice: str, resource: str, ecw_id: str) -> MergeBase:
    """Return what was agreed; where nothing was, an empty agreement."""
    statement = select(ecw_merge_base).filter_by(practice=practice, resource=resource, ecw_id=ecw_id)
    found = connection.execute(statement).mappings().one_or_none()
    return MergeBase.parse(found["emr"], found["crm"], found["sent"]) if found else MergeBase()


def write(connection: Connection, practice: str, resource: str, ecw_id: str, agreed: MergeBase) -> None:
    """Keep what is agreed now, in the caller's transaction."""
    key = {"practice": practice, "resource": resource, "ecw_id": ecw_id}
    upsert(connection, ecw_merge_base, key, agreed.texts())
