"""The pull side of a mapping as a ViewDefinition of SQL-on-FHIR, for other runners of such views.

It omits what FHIRPath cannot express: cleaning, crosswalks, null_if, time zones. Its columns hold eCW's values.
https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.fhirpath.paths import First, Index, nearest
from ecw.mapping.transform.concepts import is_coding

TYPES = {"datetime": "dateTime", "reference": "string", "concept": "code"}
_CURRENT = re.compile(r"current\(([^)]*)\)")


def view_definition(mapping: Mapping) -> dict[str, Any]:
    """Return the ViewDefinition."""
    select = []
    for group, columns in groupby(mapping.pulled, key=lambda column: column.group):
        entry: dict[str, Any] = {"column": [_column(column) for column in columns]}
        select.append({"forEachOrNull": _known(group), **entry} if group else entry)
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
    path = _known(column.path)
    if column.concept:
        path = f"({path})" if "|" in path else path
        path = f"{path}.code.first()" if is_coding(column.steps) else f"{path}.coding.code.first()"
    elif not isinstance(column.steps[-1], First | Index):
        path = f"({path}).first()" if "|" in path else f"{path}.first()"
    description = f"{column.label}: {column.description}" if column.description else column.label
    return {"name": column.name, "path": path, "type": TYPES.get(column.type, column.type), "description": description}


def _known(text: str) -> str:
    """Return a path in standard FHIRPath: without resolve(), and with the nearest form of current()."""
    branches = [branch.strip() for branch in _one_line(text).split("|")]
    path = " | ".join(branch for branch in branches if "resolve()" not in branch)
    return _CURRENT.sub(lambda found: nearest(tuple(re.findall(r"'([^']*)'", found[1]))), path)


def _one_line(text: str) -> str:
    return " ".join(text.split())
