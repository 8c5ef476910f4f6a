"""The places that a path reads, in its order: contained records, branches, and the current element."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.mapping.fhirpath.current import current, why_later
from ecw.mapping.fhirpath.find import find
from ecw.mapping.fhirpath.functions import one, resolve
from ecw.mapping.fhirpath.parse import parse
from ecw.mapping.fhirpath.read import why_absent

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
RECORD: dict[str, Any] = {
    "contained": [{"id": "a", "name": "A"}, "broken", {"id": "b", "name": "B"}],
    "generalPractitioner": [{"reference": "#b"}, {"reference": "Practitioner/1"}, {"reference": "#c"}],
    "gender": "male",
    "birthDate": "male",
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("generalPractitioner.resolve().name", ["B"]),
        ("generalPractitioner.reference.resolve().name", ["B"]),
        ("(gender | birthDate)", ["male"]),  # each value once
        ("photo", []),
    ],
)
def test_the_values_of_a_path_are_found_in_its_order(path: str, values: list[str]) -> None:
    assert [slot.value for slot in find(RECORD, parse(path)) if slot.value is not None] == values


def test_a_reference_to_a_contained_record_needs_one() -> None:
    assert resolve(RECORD, {"reference": "#a"}) == [{"id": "a", "name": "A"}]
    assert resolve(RECORD, {"reference": "#c"}) == []
    assert resolve({}, {"reference": "#a"}) == []


def test_the_one_value_of_a_list_is_its_first_that_is_there() -> None:
    assert (one([None, "b", "c"]), one([None]), one([]), one("a")) == ("b", None, None, "a")


def filled(element: dict[str, Any]) -> bool | str:
    value = element.get("value")
    return True if value is not None else element.get("absent", False)


@pytest.mark.parametrize(
    ("elements", "value"),
    [
        (None, None),
        ({"value": "a"}, "a"),
        ([{"use": "old", "value": "a"}, {"value": "b"}], "b"),
        ([{"period": {"end": "2001-01-01"}, "value": "a"}], None),
    ],
)
def test_the_current_element_is_the_valid_one(elements: Any, value: str | None) -> None:
    found = current(elements, (), filled)
    assert (None if found is None else found["value"]) == value


@pytest.mark.parametrize(
    ("element", "taken", "reason"),
    [
        ({"value": "a"}, {"absent": "unknown"}, "the selected one, which comes before it, is marked absent"),
        ({}, {"value": "a"}, "it has no value for the column"),
        ({"value": "a", "rank": 2}, {"value": "b", "rank": 1}, "its rank comes later"),
        (
            {"value": "a", "period": {"start": "2001-01-01"}},
            {"value": "b", "period": {"start": "2002-01-01"}},
            "the selected one began later",
        ),
        ({"value": "a"}, {"value": "b"}, "it comes after the selected one"),
    ],
)
def test_a_valid_element_that_is_not_selected_has_a_reason(
    element: dict[str, Any], taken: dict[str, Any], reason: str
) -> None:
    assert why_later(element, taken, (), filled) == reason


@pytest.mark.parametrize(
    ("companion", "reason"),
    [
        (None, None),
        ({"extension": [{"url": "x"}, {"url": ABSENT, "valueCode": "masked"}]}, "masked"),
        ([None, {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}], "unknown"),
        ([{"id": "i"}], None),
    ],
)
def test_the_reason_of_an_absent_value_is_in_its_companion(companion: Any, reason: str | None) -> None:
    assert why_absent(companion) == reason
