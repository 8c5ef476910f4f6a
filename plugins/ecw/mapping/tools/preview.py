"""Preview one resource and its row, or one row and its resource, with the place of each value in the resource."""

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
    """One column: its value, and its place in the resource ("" without one)."""

    column: str
    label: str
    value: Any
    place: str
    why: list[str] = field(default_factory=list)  # the selected element, and why its siblings were not selected


@dataclass(frozen=True, slots=True)
class Preview:
    columns: list[Shown]
    problems: list[Problem]
    unmapped: list[tuple[str, str]]
    resource: dict[str, Any]
    warnings: list[Problem] = field(default_factory=list)


def pulled(mapping: Mapping, resource: dict[str, Any]) -> Preview:
    """Return the preview of a pull: the columns of one resource."""
    mapper = Mapper(mapping)
    mapped = mapper.row(resource)
    wrong, tolerated = judge(resource, mapper.elements)
    problems = [*mapped.problems, *(problem for problem in wrong if problem not in mapped.problems)]
    shown = [
        Shown(column.name, column.label, mapped.row.get(column.name), *_explained(mapping, column, resource))
        for column in mapping.pulled
    ]
    return Preview(shown, problems, mapped.unmapped, resource, [*mapped.warnings, *tolerated])


def pushed(mapping: Mapping, row: MappingType[str, Any], into: dict[str, Any] | None = None) -> Preview:
    """Return the preview of a push: the columns that it writes of one row, and the resource."""
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
    except (AttributeError, TypeError):  # not FHIR: reported as a problem
        return "", []
