"""Read and write the merge base of a link: the values on which the CRM and eCW last agreed."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ecw.crm.db.tables import ecw_merge_base
from ecw.crm.db.upsert import upsert
from ecw.three_way_merge import MergeBase


def read(connection: Connection, practice: str, resource: str, ecw_id: str) -> MergeBase:
    """Return the merge base of a record, an empty one if nothing was agreed."""
    statement = select(ecw_merge_base).filter_by(practice=practice, resource=resource, ecw_id=ecw_id)
    found = connection.execute(statement).mappings().one_or_none()
    return MergeBase.parse(found["emr"], found["crm"], found["sent"]) if found else MergeBase()


def write(connection: Connection, practice: str, resource: str, ecw_id: str, agreed: MergeBase) -> None:
    """Write the merge base of a record, in the caller's transaction."""
    key = {"practice": practice, "resource": resource, "ecw_id": ecw_id}
    upsert(connection, ecw_merge_base, key, agreed.texts())
