"""The person that a row of the CRM describes, as ecw.identity compares persons."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from typing import Any

from ecw.identity.person import Person
from ecw.mapping.compose import Composer
from ecw.mapping.model import Column, Mapping
from ecw.mapping.paths import Member, Path, Union


def person_of(composer: Composer, row: MappingType[str, Any]) -> Person:
    """Return what a row says of a person; values that cannot be written as FHIR say nothing."""
    return Person.of(composer.resource(row).resource).knowing(*numbers_of(composer.mapping, row))


def numbers_of(mapping: Mapping, row: MappingType[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the identifiers that a row has, and those among them that eCW gave: the CRM only reads these.

    Not the eCW id, which is the link's.
    """
    ecw_id = row.get(mapping.key)
    columns = [column for column in mapping.columns if column.name != mapping.key and is_of(column, "identifier")]
    found = {column.name: value for column in columns if isinstance(value := row.get(column.name), str) and value}
    mine = {name: value for name, value in found.items() if value != ecw_id}
    given = frozenset(value for name, value in mine.items() if not mapping.column(name).pushed)
    return frozenset(mine.values()), given


def is_of(column: Column, element: str) -> bool:
    """Return True where a column lies in this element of the resource."""
    return element_of(column.steps) == element


def element_of(path: Path) -> str | None:
    """Return the element of the resource that a path leads into."""
    first = path[0] if path else None
    if isinstance(first, Union):
        return element_of(first.branches[0])
    return first.name if isinstance(first, Member) else None
