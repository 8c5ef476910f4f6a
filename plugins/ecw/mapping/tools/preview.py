"""One resource and its row, or one row and its resource, with the place in the resource behind each value."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from typing import Any

from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.fhirpath.find import location
from ecw.mapping.tools.explain import taken, why
from ecw.mapping.transform.to_resource import Composer
from ecw.mapping.transform.to_row import Mapper, Problem
from ecw.mapping.validation.resource import judge


@dataclass(frozen=True, slots=True)
class Shown:
    """One column: its value, and where in the resource it comes from or goes to ("" for nowhere)."""

    column: str
    label: str
    value: Any
    place: str
    why: list[str] = field(default_factory=list)  # which element was taken, and why not its siblings


@dataclass(frozen=True, slots=True)
class Preview:
    columns: list[Shown]
    problems: list[Problem]
    unmapped: list[tuple[str, str]]
    resource: dict[str, Any]
    warnings: list[Problem] = field(default_factory=list)


def pulled(mapping: Mapping, resource: dict[str, Any]) -> Preview:
    """Show what a pull makes of a resource."""
    mapper = Mapper(mapping)
    mapped = mapper.row(resource)
    wrong, spared = judge(resource, mapper.elements)
    problems = [*mapped.problems, *(problem for problem in wrong if problem not in mapped.problems)]
    shown = [
        Shown(column.name, column.label, mapped.row.get(column.name), *_explained(mapping, column, resource))
        for column in mapping.pulled
    ]
    return Preview(shown, problems, mapped.unmapped, resource, [*mapped.warnings, *spared])


def pushed(mapping: Mapping, row: MappingType[str, Any], into: dict[str, Any] | None = None) -> Preview:
    """Show what a push makes of a row: the columns that it writes, and the resource."""
    composed = Composer(mapping).resource(row, into)
    shown = [
        Shown(column.name, column.label, row[column.name], *_explained(mapping, column, composed.resource))
        for column in mapping.pushed
        if column.name in composed.written
    ]
    return Preview(shown, composed.problems, composed.unmapped, composed.resource)


def _explained(mapping: Mapping, column: Column, resource: dict[str, Any]) -> tuple[str, list[str]]:
    try:
        slot = taken(mapping, column, resource)
        return location(slot) if slot else "", why(mapping, column, resource)
    except (AttributeError, TypeError):  # not FHIR: the problems say so
        return "", []
