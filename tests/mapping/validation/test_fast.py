"""A record that the fast check accepts is valid by the FHIR models too, and eCW's records pass the fast check."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import date
from itertools import product
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.mapping.validation.fast import DAY, TIME, accepts
from ecw.mapping.validation.resource import in_full, not_fhir
from include.sandbox.population import Size
from include.sandbox.population.sources import TYPES, made
from tests.fixtures.examples import examples

SIZE = Size(40, practitioners=20, locations=20, seed=7, zone=ZoneInfo("America/New_York"), today=date(2026, 11, 22))
RECORDS = {kind: [source.resource(key) for key in source.numbers()] for kind, source in made(SIZE).items()}
WHY = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}
CODING = {"system": "urn:oid:1.2.3", "code": "a", "display": "A", "userSelected": True}
VALUES: list[Any] = [
    *(None, "", " ", "a", "a b", "  a", "\n", "\x01", "é", "http://example.org/a b", "urn:oid:1.2", "L24=", "a" * 300),
    *(0, 1, -1, 2**31, 1.0, 1.5, 1e300, True, False, "true", "1"),
    *("1987", "1987-02", "1987-02-20", "2001-02-30", "2001-02-29", "0000", "1987-2-20", "1987-02-20\n", "1987-02-31"),
    *("2015-02-07T13:28:17-05:00", "2015-02-07T13:28:17", "2015-02-07T13:28:60Z", "2015-02-07T24:00:00Z", "13:28:17"),
    *([], {}, [None], [{}], ["a"], [[]], [None, "a"], {"id": "a"}, {"extension": []}, WHY, [WHY], [None, WHY]),
    *(CODING, [CODING], {"coding": [CODING], "text": "a"}, {"value": 1.5, "unit": "a"}, {"start": "1987", "end": None}),
    *({"reference": "Patient/1"}, {"use": "home", "line": ["a"]}, {"contentType": "a/b", "data": "L24="}),
    [{"resourceType": "Patient"}],
    {"url": "a", "valueString": "a"},
    [{"url": "a", "valueString": "a", "valueCode": "a"}],
    {"type": "a", "author": "a", "authorString": "a", "text": "a"},
    {"time": "1987", "authorReference": {"reference": "a"}, "text": "a"},
]
KEYS = [
    *("extension", "modifierExtension", "contained", "fhir_comments", "resourceType", "resource_type", "id", "_id"),
    *(
        "url",
        "_url",
        "valueString",
        "valueCode",
        "_valueCode",
        "valueCoding",
        "valueDecimal",
        "valueInteger",
        "valueUrl",
    ),
    *("valueBoolean", "valueDate", "valueTime", "valueInstant", "valueUuid", "valueOid", "valueId", "valueUnsignedInt"),
    *("valueBase64Binary", "valueAnnotation", "valueQuantity", "valueTiming", "valuePeriod", "valueAttachment"),
    *("deceasedBoolean", "deceasedDateTime", "multipleBirthInteger", "multipleBirthBoolean", "_birthDate", "photo"),
    *("_given", "given", "period", "text", "meta", "language", "class", "class_fhir", "_status", "status", "nmae"),
]


@pytest.mark.parametrize("kind", TYPES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(60))
def test_a_record_that_the_fast_check_accepts_is_valid_by_the_models(kind: str, seed: int) -> None:
    random = Random(seed)
    for _ in range(8):
        resource = spoilt(random.choice(RECORDS[kind]), random)
        assert not accepts(resource) or in_full(resource) == []


def spoilt(resource: dict[str, Any], random: Random) -> dict[str, Any]:
    """Return a copy with one to three random changes."""
    resource = copy.deepcopy(resource)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        places = list(inside(resource))
        place, (other, key) = random.choice(places), random.choice([(p, k) for p in places for k in keys_of(p)])
        value = copy.deepcopy(random.choice([*VALUES, other[key]]))
        if isinstance(place, list):
            place.insert(random.randint(0, len(place)), value)
        elif random.random() < 0.3:
            place[random.choice([*KEYS, str(key)])] = value
        elif random.random() < 0.5:
            other[key] = value
        else:
            del other[key]
    return resource


def inside(value: Any) -> list[Any]:
    """Return the objects and lists in a value, including the value itself."""
    if not isinstance(value, dict | list):
        return []
    return [value, *(found for each in keys_of(value) for found in inside(value[each]))]


def keys_of(place: Any) -> list[Any]:
    return list(place) if isinstance(place, dict) else list(range(len(place)))


@pytest.mark.parametrize("year", [1900, 1999, 2000, 2099])
@pytest.mark.parametrize("time", ["T00:00:00Z", "T23:59:59.9+13:59", "T12:00:00.123456-13:59", "T09:30:00+00:00"])
def test_dates_that_the_fast_check_accepts_are_valid_by_the_models(year: int, time: str) -> None:
    for month, day in product((1, 2, 12), (1, 10, 28)):
        day_text = f"{year}-{month:02}-{day:02}"
        assert re.fullmatch(DAY, day_text)
        assert re.fullmatch(TIME, time)
        dates = {"birthDate": day_text, "deceasedDateTime": day_text + time, "meta": {"lastUpdated": day_text + time}}
        patient = {"resourceType": "Patient", "extension": [{"url": "a", "valueDateTime": day_text}], **dates}
        assert in_full(patient) == []


@pytest.mark.parametrize("kind", TYPES)
def test_the_fast_check_accepts_every_record_of_the_sandbox(kind: str) -> None:
    assert RECORDS[kind]
    assert [resource for resource in RECORDS[kind] if not accepts(resource)] == []


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "Group"])
def test_the_fast_check_accepts_all_sample_data(kind: str, samples: Callable[[str], list[dict[str, Any]]]) -> None:
    assert [resource for resource in samples(kind) if not accepts(resource)] == []


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"nmae": []}, ": has an element that FHIR does not have"),
        ({"name": [{"nmae": "a"}]}, ".name[0]: has an element that FHIR does not have"),
        ({"name": [None]}, ".name: is not a list"),
        ({"name": "a"}, ".name: is not a list"),
        ({"name": [{"family": ""}]}, ".name[0].family: is empty or has characters that its type does not allow"),
        ({"name": [{"family": 5}]}, ".name[0].family: is not a text"),
        ({"active": "secret"}, ".active: is neither true nor false"),
        ({"birthDate": "2001-02-30"}, ".birthDate: is not a day of the calendar"),
        ({"deceasedDateTime": "2001-02-20T10:00:00"}, ".deceasedDateTime: has no value that its type allows"),
        ({"link": [{"type": "refer"}]}, ".link[0].other: is missing"),
        ({"link": [{"other": {"reference": "Patient/1"}}]}, ".link[0].type: is missing"),
        ({"extension": [{"valueString": "a"}]}, ".extension[0].url: is missing"),
        ({"_birthDate": {}}, "._birthDate: model_validation_format"),
    ],
)
def test_a_record_that_is_not_fhir_is_reported_with_path_and_rule(elements: dict[str, Any], reason: str) -> None:
    patient = {"resourceType": "Patient", "id": "p.1", **elements}
    assert not accepts(patient)
    assert [problem.reason for problem in not_fhir(patient)] == [f"Patient{reason}"]


@pytest.mark.parametrize(
    "elements",
    [
        {"deceasedBoolean": False, "deceasedDateTime": "2001-02-20"},
        {"extension": [{"url": "a", "valueString": "a", "valueCode": "a"}]},
        {"extension": [{"url": "a", "valueUrl": {}}]},
        {"contained": [{"resourceType": "Secret"}]},
        {"resourceType": "Nothing"},
        {"resourceType": ["Patient"]},
    ],
)
def test_a_second_choice_or_an_unknown_shape_is_one_problem(elements: dict[str, Any]) -> None:
    patient = {"resourceType": "Patient", "id": "p.1", **elements}
    assert not accepts(patient)
    assert len(not_fhir(patient)) == 1


@pytest.mark.parametrize(
    "elements",
    [
        {"name": [{"given": [None, "B"], "_given": [WHY, None]}]},
        {"link": [{"other": {"reference": "Patient/1"}, "_type": WHY}]},
        {"contained": [{"resourceType": "Patient", "active": True}]},
        {"multipleBirthInteger": "2"},
        {"birthDate": None},
    ],
)
def test_a_valid_record_that_only_the_models_can_judge_is_accepted_in_the_end(elements: dict[str, Any]) -> None:
    patient = {"resourceType": "Patient", "id": "p.1", **elements}
    assert not accepts(patient)
    assert not_fhir(patient) == []
