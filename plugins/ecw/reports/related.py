"""Which records a record refers to, and which refer to it: ids alone."""

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

MOST = 50  # of each column


@dataclass(frozen=True, slots=True)
class Related:
    """A record on the other end of a reference; `column` holds it, in the record itself or in the other one."""

    resource: str
    ecw_id: str
    crm_id: str | None
    column: str
    refers: str  # "to": the record refers to it, "from": it refers to the record


def related(connection: Connection, practice: str, record: Found, mappings: Iterable[Mapping]) -> list[Related]:
    """Return what the record refers to, then what refers to it.

    Raises CrmSchemaError where a mapping does not fit its table.
    """
    found: list[Related] = []
    if record.ecw_id is None:
        return found
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
                    found.insert(0, Related(of, ecw_id, _crm_id(connection, practice, of, ecw_id), column, "to"))
        for column in references:
            crm_id = cast(target.key, ecw_link.c.crm_id.type)
            rows = select(key, crm_id).where(mine, target.columns[column] == name)
            found += [
                Related(resource, str(ecw_id), crm_key, column, "from")
                for ecw_id, crm_key in connection.execute(rows.order_by(target.key.desc()).limit(MOST))
                if ecw_id is not None
            ]
    return found


def _crm_id(connection: Connection, practice: str, resource: str, ecw_id: str) -> str | None:
    key = {"practice": practice, "resource": resource, "ecw_id": ecw_id}
    found: str | None = connection.scalar(select(ecw_link.c.crm_id).filter_by(**key))
    return found
