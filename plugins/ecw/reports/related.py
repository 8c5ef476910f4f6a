"""The records that a record refers to, and those that refer to it: ids only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, cast, select

from ecw.crm.db.business_table import find
from ecw.crm.db.tables import ecw_link
from ecw.crm.state.practices import shown
from ecw.mapping.definition.model import Mapping
from ecw.pull.mapped_columns import mapped_of
from ecw.reports.find_records import Found, resource_of
from ecw.resources import RESOURCES

MOST = 50  # records of each column


@dataclass(frozen=True, slots=True)
class Related:
    """A record at the other end of a reference; `column` holds the reference, in the record itself or in the other."""

    resource: str
    ecw_id: str
    crm_id: str | None
    column: str
    refers: str  # "to": the record refers to it, "from": it refers to the record


def related(connection: Connection, practice: str, record: Found, mappings: Iterable[Mapping]) -> list[Related]:
    """Return the records that the record refers to, then those that refer to it.

    Raises CrmSchemaError if a mapping does not fit its table.
    """
    records: list[Related] = []
    if record.ecw_id is None:
        return records
    name = f"{RESOURCES[record.resource].fhir_type}/{record.ecw_id}"
    for mapping in mappings:
        target = find(connection, mapped_of(mapping))
        resource, references = resource_of(mapping), sorted(target.mapped.references)
        key, mine = target.columns[mapping.key], shown(connection, practice, resource, target)
        if resource == record.resource and references:
            columns = [target.columns[column] for column in references]
            row = connection.execute(select(*columns).where(mine, key == record.ecw_id).limit(1)).one_or_none()
            for column, value in zip(references, row or (), strict=False):
                fhir_type, _, ecw_id = str(value or "").partition("/")
                of = next((one.name for one in RESOURCES.values() if one.fhir_type == fhir_type), None)
                if of and ecw_id:
                    records.insert(0, Related(of, ecw_id, _crm_id(connection, practice, of, ecw_id), column, "to"))
        for column in references:
            crm_id = cast(target.key, ecw_link.c.crm_id.type)
            rows = select(key, crm_id).where(mine, target.columns[column] == name)
            records += [
                Related(resource, str(ecw_id), crm_key, column, "from")
                for ecw_id, crm_key in connection.execute(rows.order_by(target.key.desc()).limit(MOST))
                if ecw_id is not None
            ]
    return records


def _crm_id(connection: Connection, practice: str, resource: str, ecw_id: str) -> str | None:
    key = {"practice": practice, "resource": resource, "ecw_id": ecw_id}
    crm_id: str | None = connection.scalar(select(ecw_link.c.crm_id).filter_by(**key))
    return crm_id
