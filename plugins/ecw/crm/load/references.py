"""Resolve references (`Patient/<eCW id>`) to the keys of the CRM's rows."""

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
    """Fill in the missing keys of the practice's linked rows, of this load and of earlier ones.

    A key stays empty until the record that the reference names is loaded; while a person must decide whether the linked
    row is still the same person; and if the CRM refuses the key.
    """
    own_link = (
        select(ecw_link.c.crm_id)
        .where(
            ecw_link.c.practice == whose.practice,
            ecw_link.c.resource == whose.resource,
            ecw_link.c.crm_id == cast(target.key, ecw_link.c.crm_id.type),
        )
        .limit(1)
    )
    for name, meant in target.meant.items():
        reference = target.columns[name]
        for resource in RESOURCES.values():
            # Scalar subqueries, one index look-up a row: both databases plan joins badly here. SQLite has no
            # statistics, PostgreSQL none yet of a table that was just filled.
            key = _key(whose, resource, reference, meant)
            missing = and_(
                meant.is_(None),
                reference.startswith(f"{resource.fhir_type}/"),
                key.is_not(None),
                own_link.scalar_subquery().is_not(None),
            )
            _write(connection, target, whose, meant, key, missing)


def key_of_reference(whose: edit_times.Whose, reference: ColumnElement[Any], meant: Column[Any]) -> ColumnElement[Any]:
    """Return the key of the row that a reference names, for the column `meant`; NULL if that record is not linked."""
    keys = [
        (reference.startswith(f"{resource.fhir_type}/"), _key(whose, resource, reference, meant))
        for resource in RESOURCES.values()
    ]
    return case(*keys, else_=null())


def _key(
    whose: edit_times.Whose, resource: Resource, reference: ColumnElement[Any], meant: Column[Any]
) -> ScalarSelect[Any]:
    i = ecw_intent.c
    in_doubt = exists().where(
        *(i.practice == ecw_link.c.practice, i.resource == ecw_link.c.resource, i.crm_id == ecw_link.c.crm_id),
        *(i.state == HELD, i.match_rule == RUNG),
    )
    return (
        select(cast(ecw_link.c.crm_id, meant.type))
        .where(
            ecw_link.c.practice == whose.practice,
            ecw_link.c.resource == resource.name,
            ecw_link.c.ecw_id == func.substr(reference, len(resource.fhir_type) + 2),
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
            "The CRM's table %s refused the key in %s of %d rows, the first because: %s. The column stays empty there. "
            "Next (data engineer): let its foreign key refer to the table that the mapping file names.",
            *(target.mapped.table, meant.name, len(refused), next(iter(refused.values())).reason),
        )


def forget(connection: Connection, target: BusinessTable, whose: edit_times.Whose, reference: str) -> None:
    """Empty the keys of the practice's rows with this reference, because it names another row from now on.

    `resolve` fills in the new key. Rows of other practices stay: they may have the same eCW id.
    """
    link = ecw_link.c
    linked = select(link.crm_id).where(link.practice == whose.practice, link.resource == whose.resource)
    own_row = linked.where(link.crm_id == cast(target.key, link.crm_id.type)).exists()
    for name, meant in target.meant.items():
        referring = target.columns[name] == reference
        connection.execute(update(target.table).where(referring, own_row).values({meant.name: None}))
