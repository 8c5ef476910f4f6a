"""The person that a row of the CRM describes, for the comparisons of ecw.identity."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingType
from dataclasses import replace
from functools import cache
from typing import Any

from ecw.identity.person import Person
from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.fhirpath.paths import Member, Path, Union
from ecw.mapping.transform.to_resource import Composer


def person_of(composer: Composer, row: MappingType[str, Any]) -> Person:
    """Return the person in a row; values that cannot be written as FHIR are left out."""
    return Person.of(composer.resource(row).resource).knowing(*numbers_of(composer.mapping, row))


WHO = ("name", "birthDate", "gender")
REACHED = ("telecom", "address", "identifier")


def who_columns(mapping: Mapping) -> tuple[str, ...]:
    """Return the columns of names, birth date and gender, by which persons differ."""
    return _columns(mapping, WHO)


def person_columns(mapping: Mapping) -> tuple[str, ...]:
    """Return all columns about the person: `who_columns`, contact data and identifiers."""
    return _columns(mapping, (*WHO, *REACHED))


def _columns(mapping: Mapping, elements: tuple[str, ...]) -> tuple[str, ...]:
    columns = [column.name for column in mapping.columns if element_of(column.steps) in elements]
    return tuple(columns) if mapping.resource == "Patient" else ()


def contact_columns(mapping: Mapping) -> tuple[str, ...]:
    """Return the columns of phone numbers, e-mail addresses and streets."""
    columns = (column for column in mapping.columns if column.steps and mapping.resource == "Patient")
    return tuple(column.name for column in columns if _is_contact(column.steps))


def _is_contact(path: Path) -> bool:
    if isinstance(path[0], Union):
        return any(_is_contact(branch) for branch in path[0].branches)
    return path[0] == Member("telecom") or (path[0] == Member("address") and Member("line") in path)


def is_born(column: Column) -> bool:
    """Return True for the column of the birth date."""
    return element_of(column.steps) == "birthDate"


def person_reader(mapping: Mapping) -> Callable[[MappingType[str, Any]], Person]:
    """Return a function: row of the CRM -> person; it also reads columns that the mapping only pulls."""
    elements = (*WHO, *REACHED)

    @cache
    def composer() -> Composer:
        columns = (
            replace(each, sync="both") if each.pushed or element_of(each.steps) in elements[:-1] else each
            for each in mapping.columns
            if each.name != mapping.key and element_of(each.steps) in elements
        )
        return Composer(replace(mapping, columns=tuple(columns)))

    return lambda row: person_of(composer(), row)


def numbers_of(mapping: Mapping, row: MappingType[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the identifiers in a row, and those among them that eCW assigned, because the CRM only reads them.

    Without the eCW id, which is in the link.
    """
    ecw_id = row.get(mapping.key)
    columns = [
        column for column in mapping.columns if column.name != mapping.key and element_of(column.steps) == "identifier"
    ]
    found = {column.name: value for column in columns if isinstance(value := row.get(column.name), str) and value}
    own = {name: value for name, value in found.items() if value != ecw_id}
    from_ecw = frozenset(value for name, value in own.items() if not mapping.column(name).pushed)
    return frozenset(own.values()), from_ecw


def element_of(path: Path) -> str | None:
    """Return the top-level element of the resource in which a path starts; None without one."""
    first = path[0] if path else None
    if isinstance(first, Union):
        return element_of(first.branches[0])
    return first.name if isinstance(first, Member) else None
