"""From a reference, `Patient/<eCW id>`, to the key of the CRM's row that it means."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    case,
    cast,
    exists,
    func,
    null,
    select,
    update,
)

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.in_parts import in_parts
from ecw.crm.db.tables import ecw_intent, ecw_link
from ecw.crm.load.identity import RUNG
from ecw.crm.load.match_unconfirmed import HELD
from ecw.crm.state import edit_times
from ecw.resources import RESOURCES, Resource

log = logging.getLogger(__name__)


def resolve(connection: Connection, target: BusinessTable, whose: edit_times.Whose) -> None:
    """Fill in the keys that are missing and can be known by now, of this load's rows and of earlier ones.

    What a reference means may arrive later than the reference; its key stays empty until then.  So it does while a
    person is asked whether the row that it means is still the same person's, and where the CRM refuses the key.
    """
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
            # Scalar subqueries, an index look-up for each row: as joins both databases plan them badly, SQLite for
            # want of statistics, PostgreSQL because those of a table just filled are not there yet.
            other = _key(whose, known, held, meant)
            missing = and_(
                meant.is_(None),
                held.startswith(f"{known.fhir_type}/"),
                other.is_not(None),
                own.scalar_subquery().is_not(None),
            )
            _write(connection, target, whose, meant, other, missing)


def key_of_reference(whose: edit_times.Whose, held: ColumnElement[Any], meant: Column[Any]) -> ColumnElement[Any]:
    """Return the key of the row that a reference means, NULL where that is not here; for the column `meant`."""
    found = [(held.startswith(f"{known.fhir_type}/"), _key(whose, known, held, meant)) for known in RESOURCES.values()]
    return case(*found, else_=null())


def _key(whose: edit_times.Whose, known: Resource, held: ColumnElement[Any], meant: Column[Any]) -> ScalarSelect[Any]:
    i = ecw_intent.c
    in_doubt = exists().where(
        *(i.practice == ecw_link.c.practice, i.resource == ecw_link.c.resource, i.crm_id == ecw_link.c.crm_id),
        *(i.state == HELD, i.match_rule == RUNG),
    )
    return (
        select(cast(ecw_link.c.crm_id, meant.type))
        .where(
            ecw_link.c.practice == whose.practice,
            ecw_link.c.resource == known.name,
            ecw_link.c.ecw_id == func.substr(held, len(known.fhir_type) + 2),
            ~in_doubt,
        )
        .scalar_subquery()
    )


def _write(
    connection: Connection,
    target: BusinessTable,
    whose: edit_times.Whose,
    meant: Column[Any],
    key: ScalarSelect[Any],
    missing: ColumnElement[bool],
) -> None:
    def keys() -> Sequence[Any]:
        return list(connection.scalars(select(target.key).where(missing).order_by(target.key)))

    def write(part: Sequence[Any] | None) -> None:
        chosen = missing if part is None else and_(missing, target.key.between(part[0], part[-1]))
        edit_times.write(connection, target, whose, update(target.table).where(chosen).values({meant.name: key}))

    refused = in_parts(connection, keys, write)
    if refused:
        log.warning(
            "The CRM's table %s takes no key in %s of %d rows: %s. They stay without. Next (data engineer): let the "
            "column refer to the table of the mapping file.",
            *(target.mapped.table, meant.name, len(refused), next(iter(refused.values())).reason),
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
