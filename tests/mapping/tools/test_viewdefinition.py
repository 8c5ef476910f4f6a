"""The exported ViewDefinition is valid, and its paths read the same values as the mapping's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from ecw.mapping.definition.files import all_mappings
from ecw.mapping.definition.model import Mapping
from ecw.mapping.fhirpath.read import reader
from ecw.mapping.tools.viewdefinition import view_definition

# https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition
TOP = {"resourceType", "name", "status", "description", "resource", "profile", "fhirVersion", "constant", "select"}
COLUMN = {"name", "path", "type", "description"}
FHIR_TYPES = {"string", "date", "dateTime", "boolean", "integer", "decimal", "code"}


@pytest.mark.parametrize("name", sorted(all_mappings()))
def test_the_export_is_a_view_definition(name: str) -> None:
    mapping = all_mappings()[name]
    view = view_definition(mapping)
    assert set(view) <= TOP
    assert {"resourceType", "status", "resource", "select"} <= set(view)
    columns = [column for entry in view["select"] for column in entry["column"]]
    assert [column["name"] for column in columns] == [column.name for column in mapping.pulled]
    for column in columns:
        assert set(column) == COLUMN
        assert re.fullmatch("[A-Za-z][A-Za-z0-9_]*", column["name"])
        assert column["type"] in FHIR_TYPES
    assert all(set(entry) <= {"column", "forEachOrNull"} for entry in view["select"])


@pytest.mark.parametrize("name", sorted(all_mappings()))
def test_the_exported_paths_read_the_same_values_as_the_mapping(
    name: str, samples: Callable[[str], list[dict[str, Any]]]
) -> None:
    mapping = all_mappings()[name]
    view = view_definition(mapping)
    for resource in samples(mapping.resource)[:5]:
        for entry in view["select"]:
            base = entry.get("forEachOrNull")
            for column in entry["column"]:
                path = f"{base}.{column['path']}" if base and "|" not in column["path"] else column["path"]
                values = fhirpathpy.evaluate(resource, path, {}, models["r4"])
                assert len(values) <= 1  # collection is false
                mapped = reader(mapping.column(column["name"]).steps)(resource)
                if isinstance(mapped, dict):  # a view takes the code of a concept
                    mapped = mapped["coding"][0]["code"] if "coding" in mapped else mapped.get("code")
                assert (str(values[0]) if values else None) == (None if mapped is None else str(mapped))


def test_only_the_constants_that_paths_use_are_exported(mapping_of: Callable[..., Mapping]) -> None:
    file = mapping_of("").file
    text = file.read_text().replace("time_zone:", "constant: {npi: 'http://npi', unused: x}\ntime_zone:")
    line = "      - {name: n, label: N, path: identifier.where(system=%npi).value, type: string}\n"
    file.write_text(text.replace("excluded:", f"{line}excluded:"))
    from ecw.mapping.definition.files import load_mapping

    assert view_definition(load_mapping(file))["constant"] == [{"name": "npi", "valueString": "http://npi"}]
