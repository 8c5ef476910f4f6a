"""What a path reads is what FHIRPath reads: fhirpathpy is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from hypothesis import given, settings

from ecw.mapping.compile import Mapper
from ecw.mapping.files import all_mappings
from ecw.mapping.parse import parse
from ecw.mapping.paths import Path, show
from ecw.mapping.read import reader
from tests.fixtures.examples import examples
from tests.mapping.generated import resources

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "active": False,
    "name": [
        {"use": "old", "family": "X", "given": ["n"]},
        {"family": "Y", "given": ["a", "b"], "_given": [None, {"id": "k"}]},
        {"use": "usual", "given": ["c"], "text": "c"},
    ],
    "deceasedDateTime": "1899-12-30T00:00:00-05:00",
    "multipleBirthInteger": 0,
    "_birthDate": {"extension": [{"url": "reason", "valueCode": "unknown"}]},
    "extension": [
        {"url": "u", "valueCoding": {"code": "c", "display": "C"}},
        {"url": "v", "valueBoolean": False},
        {"url": "w", "extension": [{"url": "in", "valueString": "1"}, {"url": "in", "valueString": "2"}]},
        {"url": "z", "_valueString": {"id": "absent"}},
    ],
    "telecom": [
        {"system": "phone", "_value": {"id": "absent"}, "use": "home"},
        {"system": "phone", "value": "5", "use": "mobile", "rank": 1},
        {"system": "email", "value": "e"},
    ],
    "communication": [{"language": {"text": "x"}}, {"preferred": True, "language": {"text": "y"}}],
    "maritalStatus": {"coding": [{"system": "s", "code": "M"}, {"system": "t", "code": "N"}]},
    "contact": [{"name": {"given": ["p", "q"]}}, {"name": {"given": ["r"]}}],
}

PATHS = [
    "id",
    "active",
    "name.family",
    "name.given",
    "name[1].given[1]",
    "name.given[2]",
    "name[7].family",
    "name.where(use='usual').family",
    "name.where(use='usual').text | name.where(use='old').given",
    "(name.where(use='official') | name.where(use.empty())).first().given.first()",
    "name.where(use.exists()).given",
    "name.where(given='c').text",
    "name.where(given='a').family",
    "name.where(period.where(start='1').exists()).family",
    "deceased",
    "deceased.ofType(dateTime)",
    "deceased.ofType(boolean)",
    "multipleBirth",
    "multipleBirth.ofType(integer)",
    "birthDate",
    "extension('u').value.code",
    "extension('u').value.ofType(Coding).display",
    "extension('v').value",
    "extension('v').value.ofType(boolean)",
    "extension('w').extension('in').value.ofType(string)",
    # Not extension('in')[1]: the oracle's extension() gives the first only, the specification's all.
    "extension('w').extension.where(url='in')[1].value",
    "extension('z').value",
    "extension.where(url='u').value.ofType(Coding).code",
    "telecom.where(system='phone').value",
    "telecom.where(system='phone' and use='home').value | telecom.where(system='email').value",
    "telecom.where(rank=1).value",
    "communication.where(preferred=true).language.text",
    "(communication.where(preferred=true) | communication).first().language.text",
    "maritalStatus.coding.where(system='t').code",
    "maritalStatus.coding.first().code",
    "contact.name.given[2]",
    "contact.name.first().given",
    "(contact.name.given | name.given)[4]",
    "nothing.at.all",
    "name.where(use='nobody').first().given[0]",
    "contact.where(name.where(given='r').where(given='r').exists()).name.given",
    "extension.where(extension('in').where(url='in').exists()).url",
    "first().id",
    "communication.where(preferred=true).language.text | communication.where(preferred=1).language.text",
]


@cache
def oracle(text: str) -> Callable[[dict[str, Any]], list[Any]]:
    compiled: Callable[[dict[str, Any]], list[Any]] = fhirpathpy.compile(text, models["r4"])
    return compiled


def expected(resource: dict[str, Any], path: Path | str) -> Any:
    text = path if isinstance(path, str) else show(path)
    values = [value for value in oracle(text)(without_companions(resource)) if value is not None]
    value = values[0] if values else None
    return float(value) if isinstance(value, Decimal) else value


def without_companions(value: Any) -> Any:
    """Leave out `_given` and its like: fhirpathpy gives them as values where there is no value."""
    if isinstance(value, dict):
        return {key: without_companions(inner) for key, inner in value.items() if not key.startswith("_")}
    return [without_companions(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", PATHS)
def test_reads_as_fhirpath(text: str) -> None:
    assert reader(parse(text))(PATIENT) == expected(PATIENT, text)


@pytest.mark.parametrize("text", ["'; import os; '", "a'b", "a\nb", "a\x00b", "a\u2028b", 'a"""b', "a\\"])
def test_text_in_a_path_never_becomes_code(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    resource = {"name": [{"use": text, "family": "found"}]}
    assert reader(parse(f"name.where(use='{quoted}').family"))(resource) == "found"


@pytest.mark.parametrize("mapping", sorted(all_mappings()))
def test_every_path_of_every_mapping_file_reads_as_fhirpath(
    mapping: str, samples: Callable[[str], list[dict[str, Any]]]
) -> None:
    found = all_mappings()[mapping]
    resources = samples(found.resource)[:150]
    assert found.columns
    for column in found.columns:
        read = reader(column.steps)
        for resource in resources:
            assert read(resource) == expected(resource, column.steps), column.name


@pytest.mark.parametrize("mapping", sorted(all_mappings()))
def test_generated_resources_read_as_fhirpath(mapping: str) -> None:
    found, together = all_mappings()[mapping], Mapper(all_mappings()[mapping])
    reads = [(column, reader(column.steps)) for column in found.columns]

    @given(resource=resources(found.resource))
    @settings(max_examples=examples(40), derandomize=True)
    def agree(resource: dict[str, Any]) -> None:
        values = {column.name: expected(resource, column.steps) for column in found.columns}
        assert {column.name: read(resource) for column, read in reads} == values
        assert together.read(resource) == [values[column.name] for column in together.columns]

    agree()
