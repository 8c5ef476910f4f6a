"""Find a record by an id of either side; callers allow a search by number or name only to who may see values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Column, Connection, String, cast, func, or_, select

from ecw.crm.db.business_table import BusinessTable, find
from ecw.crm.db.tables import ecw_deferred_row, ecw_intent, ecw_link, ecw_reject
from ecw.crm.state.practices import shown
from ecw.mapping.definition.model import Mapping
from ecw.mapping.transform.person import element_of
from ecw.pull.mapped_columns import mapped_of, names_of
from ecw.resources import RESOURCES

MOST = 20
PUSH_REJECT = "crm:"  # ecw_reject.ecw_id of a reject of the push: this prefix and the CRM id


@dataclass(frozen=True, slots=True)
class Found:
    """One record by the ids of both sides; the other side's id is None if the record is not linked."""

    resource: str
    ecw_id: str | None
    crm_id: str | None


def by_id(connection: Connection, practice: str, text: str, resource: str = "") -> list[Found]:
    """Return the records with an id of eCW or of the CRM, at most MOST; of one resource if `resource` names it."""
    text = text.strip().removeprefix(PUSH_REJECT)
    names = [resource] if resource else list(RESOURCES)
    found: dict[tuple[str, str | None, str | None], Found] = {}
    for one in _linked(connection, practice, text, names):
        found[one.resource, one.ecw_id, one.crm_id] = one
    in_ecw = {(one.resource, one.ecw_id) for one in found.values()}
    in_crm = {(one.resource, one.crm_id) for one in found.values()}
    for one in _not_linked(connection, practice, text, names):
        if (one.resource, one.ecw_id) not in in_ecw and (one.resource, one.crm_id) not in in_crm:
            found[one.resource, one.ecw_id, one.crm_id] = one
    return list(found.values())[:MOST]


def _linked(connection: Connection, practice: str, text: str, names: list[str]) -> Iterator[Found]:
    link = ecw_link.c
    for column in (link.ecw_id, link.crm_id):
        statement = select(link.resource, link.ecw_id, link.crm_id).where(
            link.practice == practice, link.resource.in_(names), column == text
        )
        for row in connection.execute(statement.limit(MOST)):
            yield Found(row.resource, row.ecw_id, row.crm_id)


def _not_linked(connection: Connection, practice: str, text: str, names: list[str]) -> Iterator[Found]:
    """Yield the records that were rejected, deferred or decided for a push under this id."""
    pushed = f"{PUSH_REJECT}{text}"
    for table in (ecw_reject, ecw_deferred_row):
        t = table.c
        with_id = (t.practice == practice, t.resource.in_(names), t.ecw_id.in_([text, pushed]))
        for resource, ecw_id in connection.execute(select(t.resource, t.ecw_id).where(*with_id).distinct().limit(MOST)):
            yield Found(resource, None, text) if ecw_id == pushed else Found(resource, text, None)
    i = ecw_intent.c
    decided = select(i.resource).where(i.practice == practice, i.resource.in_(names), i.crm_id == text)
    for resource in connection.scalars(decided.limit(MOST)):
        yield Found(resource, None, text)


def by_value(connection: Connection, practice: str, text: str, mappings: Iterable[Mapping]) -> list[Found]:
    """Return the records with a number or a name that begins with a text, at most MOST; case does not matter.

    Raises CrmSchemaError if a mapping does not fit its table.
    """
    found: list[Found] = []
    for mapping in mappings:
        target = find(connection, mapped_of(mapping))
        columns = [target.columns[name] for name in (*_numbers(mapping), *names_of(mapping))]
        if columns:
            found += _rows(
                connection, practice, resource_of(mapping), target, [_begins(column, text) for column in columns]
            )
    return found[:MOST]


def _rows(
    connection: Connection, practice: str, resource: str, target: BusinessTable, conditions: list[object]
) -> Iterator[Found]:
    crm_id = cast(target.key, ecw_link.c.crm_id.type)
    link = (ecw_link.c.practice == practice) & (ecw_link.c.resource == resource) & (ecw_link.c.crm_id == crm_id)
    statement = (
        select(crm_id.label("crm_id"), ecw_link.c.ecw_id)
        .select_from(target.table.outerjoin(ecw_link, link))
        .where(shown(connection, practice, resource, target), or_(*conditions))  # type: ignore[arg-type]  # they are column expressions
        .order_by(target.key)
        .limit(MOST)
    )
    for row in connection.execute(statement):
        yield Found(resource, row.ecw_id, row.crm_id)


def _begins(column: Column[object], text: str) -> object:
    return func.lower(cast(column, String)).startswith(text.strip().lower(), autoescape=True)


def _numbers(mapping: Mapping) -> list[str]:
    return [
        column.name
        for column in mapping.pulled
        if column.type == "string" and element_of(column.steps) == "identifier" and column.name != mapping.key
    ]


def resource_of(mapping: Mapping) -> str:
    """Return the resource of a mapping, by its name in resources.py."""
    return next((one.name for one in RESOURCES.values() if one.fhir_type == mapping.resource), mapping.name)
