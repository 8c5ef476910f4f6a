"""From a reference, `Patient/<eCW id>`, to the key of the CRM's row that it means."""

from __future__ import annotations

from sqlalchemy import Connection, cast, func, update

from ecw.crm.business import BusinessTable
from ecw.crm.tables import ecw_link
from ecw.resources import RESOURCES
from ecw.words import Run


def resolve(connection: Connection, target: BusinessTable, run: Run, resource: str) -> None:
    """Fill in the keys that are missing and can be known by now, of this load's rows and of earlier ones.

    What a reference means may arrive later than the reference; its key stays empty until then.
    """
    own, other = ecw_link.alias("own"), ecw_link.alias("other")
    for name, meant in target.meant.items():
        held = target.columns[name]
        for known in RESOURCES.values():
            prefix = f"{known.fhir_type}/"
            connection.execute(
                update(target.table)
                .where(
                    meant.is_(None),
                    held.startswith(prefix),
                    other.c.practice == run["practice"],
                    other.c.resource == known.name,
                    other.c.ecw_id == func.substr(held, len(prefix) + 1),
                    own.c.practice == run["practice"],
                    own.c.resource == resource,
                    own.c.crm_id == cast(target.key, ecw_link.c.crm_id.type),
                )
                .values({meant.name: cast(other.c.crm_id, meant.type)})
            )
