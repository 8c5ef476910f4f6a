"""One resource and its row, or one row and its resource, with the place in the resource behind each value."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

from ecw.mapping.compile import Mapper, Problem
from ecw.mapping.compose import Composer
from ecw.mapping.model import Column, Mapping
from ecw.mapping.validate import not_fhir
from ecw.mapping.write import find, location


@dataclass(frozen=True, slots=True)
class Shown:
    """One column: its value, and where in the resource it comes from or goes to ("" for nowhere)."""

    column: str
    label: str
    value: Any
    place: str


@dataclass(frozen=True, slots=True)
class Preview:
    columns: list[Shown]
    problems: list[Problem]
    unmapped: list[tuple[str, str]]
    resource: dict[str, Any]


def pulled(mapping: Mapping, resource: dict[str, Any]) -> Preview:
    """Show what a pull makes of a resource."""
    mapped = Mapper(mapping).row(resource)
    problems = [*mapped.problems, *(problem for problem in not_fhir(resource) if problem not in mapped.problems)]
    shown = [
        Shown(column.name, column.label, mapped.row.get(column.name), _place(column, resource))
        for column in mapping.pulled
    ]
    return Preview(shown, problems, mapped.unmapped, resource)


def pushed(mapping: Mapping, row: MappingType[str, Any], into: dict[str, Any] | None = None) -> Preview:
    """Show what a push makes of a row: the columns that it writes, and the resource."""
    composed = Composer(mapping).resource(row, into)
    shown = [
        Shown(column.name, column.label, row[column.name], _place(column, composed.resource))
        for column in mapping.pushed
        if column.name in composed.written
    ]
    return Preview(shown, composed.problems, composed.unmapped, composed.resource)


def _place(column: Column, resource: dict[str, Any]) -> str:
    try:
        slot = next((slot for slot in find(resource, column.steps) if slot.value is not None), None)
    except (AttributeError, TypeError):  # not FHIR: the problems say so
        return ""
    return location(slot) if slot else ""
