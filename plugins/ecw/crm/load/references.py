"""From a reference, `Patient/<eCW id>`, to the key of the CRM's row that it means."""

from __future__ import annotations

from sqlalchemy import Connection, cast, exists, func, select, update

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.tables import ecw_intent, ecw_link
from ecw.crm.load.identity import RUNG
from ecw.crm.load.match_unconfirmed import HELD
from ecw.crm.state import edit_times
from ecw.resources import RESOURCES


def resolve(connection: Connection, target: BusinessTable, whose: edit_times.Whose) -> None:
    """Fill in the keys that are missing and can be known by now, of this load's rows and of earlier ones.

    What a reference means may arrive later than the reference; its key stays empty until then.  So it does while a
    person is asked whether the row that it means is still the same person's.
    """
    i = ecw_intent.c
    in_doubt = exists().where(
        *(i.practice == ecw_link.c.practice, i.resource == ecw_link.c.resource, i.crm_id == ecw_link.c.crm_id),
        *(i.state == HELD, i.match_rule == RUNG),
    )
    own = (
        select(ecw_link.c.crm_id)
        .where(
            ecw_link.c.practice == whose.practice,
            ecw_link.c.resource == whose.resource,
            ecw_link.c.crm_id == cast(target.key, ecw_link.c.crm_id.type),
        )
        .limit(1)
    )
    for name, meant in target.meant.items():
        held = target.columns[name]
        for known in RESOURCES.values():
            prefix = f"{known.fhir_type}/"
            other = select(cast(ecw_link.c.crm_id, meant.type)).where(
                ecw_link.c.practice == whose.practice,
                ecw_link.c.resource == known.name,
                ecw_link.c.ecw_id == func.substr(held, len(prefix) + 1),
                ~in_doubt,
            )
            # Scalar subqueries, an index look-up for each row: as joins both databases plan them badly, SQLite for
            # want of statistics, PostgreSQL because those of a table just filled are not there yet.
            edit_times.write(
                connection,
                target,
                whose,
                update(target.table)
                .where(
                    meant.is_(None),
                    held.startswith(prefix),
                    other.scalar_subquery().is_not(None),
                    own.scalar_subquery().is_not(None),
                )
                .values({meant.name: other.scalar_subquery()}),
            )


def forget(connection: Connection, target: BusinessTable, whose: edit_times.Whose, reference: str) -> None:
    """Empty the keys of the practice's rows with this reference: it means another row from now on, which `resolve`
    finds.  Another practice may have the same eCW id."""
    link = ecw_link.c
    linked = select(link.crm_id).where(link.practice == whose.practice, link.resource == whose.resource)
    mine = linked.where(link.crm_id == cast(target.key, link.crm_id.type)).exists()
    for name, meant in target.meant.items():
        held = target.columns[name] == reference
        connection.execute(update(target.table).where(held, mine).values({meant.name: None}))
