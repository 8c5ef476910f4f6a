"""A path reads the same values as FHIRPath; fhirpathpy is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from hypothesis import given, settings

from ecw.mapping.definition.files import all_mappings
from ecw.mapping.fhirpath.current import current
from ecw.mapping.fhirpath.parse import parse
from ecw.mapping.fhirpath.paths import Current, Path, Resolve, Union, show
from ecw.mapping.fhirpath.read import reader
from ecw.mapping.transform.to_row import Mapper
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
    # Not extension('in')[1]: the oracle's extension() returns only the first, the specification's returns all.
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
    """Return the first value that FHIRPath finds; current() and resolve(), which it lacks, are evaluated here."""
    values = evaluate(without_companions(resource), parse(path) if isinstance(path, str) else path)
    value = next((value for value in values if value is not None), None)
    return float(value) if isinstance(value, Decimal) else value


def evaluate(resource: dict[str, Any], path: Path) -> list[Any]:
    for at, step in enumerate(path):
        if isinstance(step, Union) and uses_own_functions(step):
            return [
                value
                for branch in step.branches
                for value in evaluate(resource, (*path[:at], *branch, *path[at + 1 :]))
            ]
        if isinstance(step, Current):
            chosen = current(
                evaluate(resource, path[:at]), step.uses, lambda one, needs=step.needs: bool(evaluate(one, needs))
            )
            return [] if chosen is None else evaluate(chosen, path[at + 1 :]) if path[at + 1 :] else [chosen]
        if isinstance(step, Resolve):
            names = [one.get("reference") for one in evaluate(resource, path[:at])]
            contained = [one for one in resource.get("contained", ()) if f"#{one.get('id')}" in names]
            return [value for one in contained for value in evaluate(one, path[at + 1 :])]
    return list(oracle(show(path))(resource))


def uses_own_functions(step: Union) -> bool:
    return any(isinstance(inner, Current | Resolve) for branch in step.branches for inner in branch)


def without_companions(value: Any) -> Any:
    """Remove `_given` and other companions: fhirpathpy returns them as values if the value is missing."""
    if isinstance(value, dict):
        return {key: without_companions(inner) for key, inner in value.items() if not key.startswith("_")}
    return [without_companions(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", PATHS)
def test_a_path_reads_the_same_as_fhirpath(text: str) -> None:
    assert reader(parse(text))(PATIENT) == expected(PATIENT, text)


@pytest.mark.parametrize("text", ["'; import os; '", "a'b", "a\nb", "a\x00b", "a\u2028b", 'a"""b', "a\\"])
def test_text_in_a_path_never_becomes_code(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    resource = {"name": [{"use": text, "family": "found"}]}
    assert reader(parse(f"name.where(use='{quoted}').family"))(resource) == "found"


@pytest.mark.parametrize("mapping", sorted(all_mappings()))
def test_every_path_of_every_mapping_file_reads_the_same_as_fhirpath(
    mapping: str, samples: Callable[[str], list[dict[str, Any]]]
) -> None:
    mapped = all_mappings()[mapping]
    resources = samples(mapped.resource)[:150]
    assert mapped.columns
    for column in mapped.columns:
        read = reader(column.steps)
        for resource in resources:
            assert without_companions(read(resource)) == expected(resource, column.steps), column.name


@pytest.mark.parametrize("mapping", sorted(all_mappings()))
def test_generated_resources_read_the_same_as_fhirpath(mapping: str) -> None:
    mapped, together = all_mappings()[mapping], Mapper(all_mappings()[mapping])
    reads = [(column, reader(column.steps)) for column in mapped.columns]

    @given(resource=resources(mapped.resource))
    @settings(max_examples=examples(40), derandomize=True)
    def agree(resource: dict[str, Any]) -> None:
        values = {column.name: expected(resource, column.steps) for column in mapped.columns}
        assert {column.name: without_companions(read(resource)) for column, read in reads} == values
        # One function for all columns and one function for each column give the same row.
        row = together.row(resource).row
        assert not row or row == together.row_with_problems(resource).row

    agree()
