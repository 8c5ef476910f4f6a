"""Errors against FHIR are reported by path and rule, never by value; shapes that eCW really sends are accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.mapping.validation.resource import not_fhir

ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def reasons(**elements: Any) -> list[str]:
    return [problem.reason for problem in not_fhir({"resourceType": "Patient", "id": "p.1", **elements})]


@pytest.mark.parametrize(
    "elements",
    [
        {"id": "Lt2IFR5Ah76n4d8TFP5gBCYrEVzcfmSY9rj1Q7MpB.g"},
        {"id": "a" * 63 + "."},
        {"deceasedDateTime": "1899-12-30T00:00:00-05:00"},
        {"meta": {"lastUpdated": "2026-03-08T03:10:00-04:00"}},
        {"birthDate": "1987"},
        {"birthDate": "1987-02"},
        {"name": [{"given": ["Mary,Ann "], "use": "old", "text": "Last First"}]},
        {"name": [{"given": [None, "B"], "_given": [ABSENT, None]}]},
        {"telecom": [{"system": "phone", "_value": ABSENT}, {"system": "email", "value": "no use"}]},
        {"_birthDate": ABSENT},
        {"active": False, "gender": "unknown"},
    ],
)
def test_shapes_that_ecw_sends_are_accepted(elements: dict[str, Any]) -> None:
    assert reasons(**elements) == []


def test_an_encounter_whose_type_is_absent_is_accepted() -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "planned",
        "class": {"code": "AMB"},
        "type": [ABSENT],
    }
    assert not_fhir(encounter) == []


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"birthDate": "secret"}, "Patient.birthDate: has no value that its type allows"),
        ({"birthDate": "2001-02-30"}, "Patient.birthDate: is not a day of the calendar"),
        ({"name": "secret"}, "Patient.name: is not a list"),
        ({"name": [{"family": 5}]}, "Patient.name[0].family: is not a text"),
        ({"name": [{"family": ""}]}, "Patient.name[0].family: is empty or has characters that its type does not allow"),
        ({"active": "secret"}, "Patient.active: is neither true nor false"),
        ({"nmae": []}, "Patient: has an element that FHIR does not have"),
        ({"extension": [{"valueString": "secret"}]}, "Patient.extension[0].url: is missing"),
        (
            {"contained": [{"resourceType": "Secret"}]},
            "Patient: a resource inside it, or its shape, is unknown to FHIR",
        ),
    ],
)
def test_an_error_is_reported_by_path_and_rule_and_not_by_value(elements: dict[str, Any], reason: str) -> None:
    assert reasons(**elements) == [reason]
    assert "secret" not in reason.lower().replace("resource inside", "")


@pytest.mark.parametrize("resource", [{}, {"resourceType": "Nothing"}, {"resourceType": None}])
def test_a_resource_without_a_known_type_is_reported(resource: dict[str, Any]) -> None:
    assert [problem.reason for problem in not_fhir(resource)] == ["resourceType: not a resource type"]


@pytest.mark.parametrize("fhir_type", ["Patient", "Encounter", "Practitioner", "Location", "Coverage"])
def test_all_sample_data_is_fhir(fhir_type: str, samples: Callable[[str], list[dict[str, Any]]]) -> None:
    for resource in samples(fhir_type):
        assert not_fhir(resource) == []
