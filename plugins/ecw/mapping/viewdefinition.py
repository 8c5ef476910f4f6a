"""The pull side of a mapping as a ViewDefinition of SQL-on-FHIR, for other runners of such views.

What FHIRPath cannot say stays out: cleaning, crosswalks, null_if, time zones. A view's columns are what eCW sends.
https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from ecw.mapping.model import Column, Mapping
from ecw.mapping.paths import First, Index

TYPES = {"datetime": "dateTime", "reference": "string"}


def view_definition(mapping: Mapping) -> dict[str, Any]:
    """Return the ViewDefinition."""
    select = []
    for group, columns in groupby(mapping.pulled, key=lambda column: column.group):
        entry: dict[str, Any] = {"column": [_column(column) for column in columns]}
        select.append({"forEachOrNull": _one_line(group), **entry} if group else entry)
    view: dict[str, Any] = {
        "resourceType": "ViewDefinition",
        "name": mapping.name,
        "status": "active",
        "description": mapping.description,
        "resource": mapping.resource,
        "fhirVersion": ["4.0.1"],
    }
    if mapping.profile:
        view["profile"] = [mapping.profile]
    used = {name for column in mapping.pulled for name in re.findall(r"%(\w+)", f"{column.path} {column.group}")}
    constants = [{"name": name, "valueString": value} for name, value in mapping.constants.items() if name in used]
    if constants:
        view["constant"] = constants
    return {**view, "select": select}


def _column(column: Column) -> dict[str, Any]:
    path = _one_line(column.path)
    if not isinstance(column.steps[-1], First | Index):
        path = f"({path}).first()" if "|" in path else f"{path}.first()"
    description = f"{column.label}: {column.description}" if column.description else column.label
    return {"name": column.name, "path": path, "type": TYPES.get(column.type, column.type), "description": description}


def _one_line(text: str) -> str:
    return " ".join(text.split())
