"""A row becomes a resource: a new one, or eCW's own with only the differences written."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.transform.to_resource import Composer
from ecw.mapping.transform.to_row import Mapper
from ecw.push.rules import bundle
from tests.fixtures.examples import examples
from tests.mapping.generated import resources

PATIENT = load_mapping("patient")
COMPOSER = Composer(PATIENT)
MAPPER = Mapper(PATIENT)
GAP = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
NONE = {"extension": [{"url": ABSENT, "valueCode": "not-applicable"}]}
ROW: dict[str, Any] = {
    "active": True,
    "identifier": "Lt2IFR5Ah76n4d8TFP5g",
    "last_name": "LaliTest",
    "first_name": "DazEcccw",
    "birth_date": "2001-05-27",
    "gender": "Male",
    "deceased": False,
    "marital_status": "Married",
    "phone": "9135552003",
    "email": "daz.ecccw@example.com",
    "address_line1": "2222 HOME STREET",
    "address_line2": "Gordon Street",
    "city": "LAWRENCE",
    "state": "open",
    "postal_code": "KS",
    "language": "English",
    "ethnicity": "Hispanic or Latino",
    "ethnicity_detail": "Dominican",
    "race": "Declined to Specify",
    "birth_sex": "Male",
    "default_location": "Location/Lt2IFR5Ah76n4d8TFP5gBCYrEVzcfmSY9rj1Q7MpBZg",
}


def test_the_sample_request_of_the_seed_is_reproduced_exactly(shared_data: Path) -> None:
    composed = COMPOSER.resource(ROW)
    assert composed.problems == []
    assert bundle.create(composed.resource) == orjson.loads(
        (shared_data / "seed/push-patient-bundle.json").read_bytes()
    )


def test_a_composed_resource_maps_back_to_its_row() -> None:
    resource = {**COMPOSER.resource(ROW).resource, "id": "p.1"}
    mapped = MAPPER.row(resource)
    assert mapped.problems == []
    texts = {
        "marital_status_text": "Married",
        "language_text": "English",
        "ethnicity_text": "Hispanic or Latino",
        "race_text": "Declined to Specify",
    }
    assert {name: value for name, value in mapped.row.items() if value is not None} == {**ROW, "ecw_id": "p.1", **texts}


@given(resource=resources("Patient"))
@settings(max_examples=examples(100), derandomize=True)
def test_composing_the_mapped_row_changes_nothing(resource: dict[str, Any]) -> None:
    row = MAPPER.row(resource).row
    composed = COMPOSER.resource(row, into=resource)
    assert composed.resource == resource
    assert composed.written == []


def test_ecws_spelling_of_the_same_value_stays() -> None:
    existing = {
        "telecom": [{"system": "phone", "use": "home", "value": "(913) 555-2003"}],
        "address": [{"postalCode": "668391105"}],
    }
    composed = COMPOSER.resource({"phone": "9135552003", "postal_code": "66839-1105"}, into=existing)
    assert composed.resource == existing


def test_the_crms_spelling_of_the_same_value_is_not_sent() -> None:
    existing = {"telecom": [{"system": "phone", "use": "home", "value": "9135552003"}]}
    row = {"phone": "(913) 555-2003"}
    assert COMPOSER.resource(row, into=existing).written == []
    assert COMPOSER.resource(row).resource["telecom"] == existing["telecom"]


def test_an_update_keeps_every_element_that_no_pushed_column_uses() -> None:
    existing = {
        "resourceType": "Patient",
        "id": "p.1",
        "extension": [{"url": "http://example.org/unknown", "valueString": "kept"}],
        "name": [
            {"use": "old", "family": "Shaw"},
            {"use": "usual", "family": "Baxter", "given": ["Amy", "V."], "suffix": ["PharmD"]},
        ],
        "telecom": [
            {"system": "phone", "use": "home", "value": "1", "_value": {"id": "k"}},
            {"system": "pager", "value": "2"},
        ],
        "photo": [{"title": "kept"}],
    }
    expected = deepcopy(existing)
    expected["name"][1]["family"] = "Baker"
    expected["telecom"][0]["value"] = "9135552003"
    composed = COMPOSER.resource({"last_name": "Baker", "phone": "9135552003", "city": None}, into=existing)
    assert composed.resource == expected
    assert composed.written == ["last_name", "phone"]
    assert existing["telecom"][0]["value"] == "1"  # the argument itself is not changed


def test_a_column_is_cleared_only_if_it_is_named() -> None:
    existing = {
        "telecom": [{"system": "phone", "use": "home", "value": "1"}],
        "maritalStatus": {"coding": [{"code": "M"}], "text": "M"},
    }
    assert COMPOSER.resource({"phone": None, "marital_status": None}, into=existing).resource == existing
    assert COMPOSER.resource({}, into=existing, clear=["phone", "marital_status"]).resource == {}


@pytest.mark.parametrize(
    ("existing", "cleared", "remaining"),
    [
        (
            {"address": [{"use": "home", "line": ["A", "B"]}]},
            "address_line1",
            {"address": [{"use": "home", "line": [None, "B"], "_line": [GAP, None]}]},
        ),
        (
            {"name": [{"use": "usual", "family": "F", "given": ["A", "B", "C"]}]},
            "middle_name",
            {"name": [{"use": "usual", "family": "F", "given": ["A", None, "C"], "_given": [None, GAP, None]}]},
        ),
        (
            {"name": [{"use": "usual", "family": "F", "suffix": ["Jr", "MD"]}]},
            "suffix",
            {"name": [{"use": "usual", "family": "F", "suffix": [None, "MD"], "_suffix": [GAP, None]}]},
        ),
        (
            {"maritalStatus": {"coding": [{"code": "M", "display": "Married"}, {"code": "S"}], "text": "Married"}},
            "marital_status",
            {},  # all codings of a concept have one meaning
        ),
        (
            {"communication": [{"language": {"coding": [{"code": "es"}]}}, {"language": {"coding": [{"code": "fr"}]}}]},
            "language",
            {"communication": [{"language": GAP}, {"language": {"coding": [{"code": "fr"}]}}]},
        ),
        (
            {"address": [{"use": "home", "line": ["A"]}, {"use": "home", "line": ["B"]}]},
            "address_line1",
            {"address": [{"use": "home", "line": [None], "_line": [GAP]}, {"use": "home", "line": ["B"]}]},
        ),
        (
            {
                "address": [
                    {"use": "home", "line": ["A"], "city": "X"},
                    {"use": "home", "line": ["B"], "city": "Y"},
                ]
            },
            "address_line1",
            {
                "address": [
                    {"use": "home", "line": [None], "_line": [GAP], "city": "X"},
                    {"use": "home", "line": ["B"], "city": "Y"},
                ]
            },
        ),
        (
            {
                "telecom": [
                    {"system": "phone", "use": "home", "value": "1"},
                    {"system": "phone", "use": "home", "value": "2"},
                ]
            },
            "phone",
            {
                "telecom": [
                    {"system": "phone", "use": "home", "_value": GAP},
                    {"system": "phone", "use": "home", "value": "2"},
                ]
            },
        ),
        (
            {"name": [{"use": "usual", "family": "F", "given": ["A"]}, {"use": "usual", "family": "G"}]},
            "last_name",
            {"name": [{"use": "usual", "_family": GAP, "given": ["A"]}, {"use": "usual", "family": "G"}]},
        ),
        # A sibling of a lower precedence does not become the current element either, wherever it is in the list.
        (
            {"address": [{"line": ["B"], "city": "Y"}, {"use": "home", "line": ["A"], "city": "X"}]},
            "address_line1",
            {"address": [{"line": ["B"], "city": "Y"}, {"use": "home", "line": [None], "_line": [NONE], "city": "X"}]},
        ),
        (
            {"address": [{"use": "home", "line": ["A"]}, {"use": "temp", "line": ["B"], "city": "Y"}]},
            "address_line1",
            {
                "address": [
                    {"use": "home", "line": [None], "_line": [NONE]},
                    {"use": "temp", "line": ["B"], "city": "Y"},
                ]
            },
        ),
        (
            {"telecom": [{"system": "phone", "value": "2"}, {"system": "phone", "use": "home", "value": "1"}]},
            "phone",
            {"telecom": [{"system": "phone", "value": "2"}, {"system": "phone", "use": "home", "_value": NONE}]},
        ),
        (
            {
                "telecom": [
                    {"system": "email", "use": "home", "value": "1"},
                    {"system": "email", "use": "work", "value": "2"},
                ]
            },
            "email",
            {
                "telecom": [
                    {"system": "email", "use": "home", "_value": NONE},
                    {"system": "email", "use": "work", "value": "2"},
                ]
            },
        ),
        (
            {
                "telecom": [
                    {"system": "phone", "use": "mobile", "rank": 2, "value": "2"},
                    {"system": "phone", "use": "mobile", "rank": 1, "value": "1"},
                ]
            },
            "mobile_phone",
            {
                "telecom": [
                    {"system": "phone", "use": "mobile", "rank": 2, "value": "2"},
                    {"system": "phone", "use": "mobile", "rank": 1, "_value": NONE},
                ]
            },
        ),
        (
            {
                "communication": [
                    {"language": {"coding": [{"code": "es"}]}},
                    {"language": {"coding": [{"code": "fr"}]}, "preferred": True},
                ]
            },
            "language",
            {"communication": [{"language": {"coding": [{"code": "es"}]}}, {"language": GAP, "preferred": True}]},
        ),
        # An element that no sibling would replace is removed.
        (
            {"address": [{"use": "home", "line": ["A", "B"], "city": "C"}]},
            "address_line2",
            {"address": [{"use": "home", "line": ["A"], "city": "C"}]},
        ),
        (
            {"telecom": [{"system": "phone", "use": "mobile", "value": "1"}, {"system": "email", "value": "2"}]},
            "mobile_phone",
            {"telecom": [{"system": "email", "value": "2"}]},
        ),
    ],
)
def test_clearing_a_column_changes_no_other_column_and_can_be_undone(
    existing: dict[str, Any], cleared: str, remaining: dict[str, Any]
) -> None:
    before = {column.name: COMPOSER.present(column, existing) for column in COMPOSER.columns}
    composed = COMPOSER.resource({}, into=existing, clear=[cleared])
    assert composed.resource == remaining
    after = {column.name: COMPOSER.present(column, composed.resource) for column in COMPOSER.columns}
    assert after == before | {cleared: None}
    again = COMPOSER.resource({cleared: before[cleared]}, into=composed.resource)
    assert {column.name: COMPOSER.present(column, again.resource) for column in COMPOSER.columns} == before
    assert "data-absent-reason" not in str(again.resource), "the value is back"


def test_a_gap_at_the_end_of_a_list_is_removed() -> None:
    existing = {"address": [{"use": "home", "line": ["A", "B"], "city": "C"}]}
    gap = COMPOSER.resource({}, into=existing, clear=["address_line1"]).resource
    assert COMPOSER.resource({}, into=gap, clear=["address_line2"]).resource == {
        "address": [{"use": "home", "city": "C"}]
    }
    assert COMPOSER.resource({}, into=existing, clear=["address_line1", "address_line2"]).resource == {
        "address": [{"use": "home", "city": "C"}]
    }


def test_a_code_without_a_system_does_not_keep_the_old_codes_system(mapping_of: Callable[..., Mapping]) -> None:
    column = (
        "      - name: sex\n        label: Sex\n        path: maritalStatus.coding.first().code\n        type: code\n"
        "        sync: both\n        crosswalk: sex\n"
        "        set_with: {maritalStatus.coding.first().system: '%system'}\n"
    )
    composer = Composer(mapping_of(column, policies="sex: {unmapped: reject}", sex="a,A,s,\nb,B,,\n"))
    existing = {"maritalStatus": {"coding": [{"system": "s", "code": "a"}]}}
    assert composer.resource({"sex": "B"}, into=existing).resource == {"maritalStatus": {"coding": [{"code": "b"}]}}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"race": "Martian"}, ("race", "unmapped value")),
        ({"default_location": "Main Street"}, ("default_location", "reference")),
        ({"middle_name": "B"}, ("middle_name", "position")),
        ({"birth_date": "27/05/2001"}, ("birth_date", "date")),
        ({"birth_date": "2001"}, ("birth_date", "partial date")),
        ({"active": "yes"}, ("active", "type")),
        ({"gender": ["Male"]}, ("gender", "type")),
    ],
)
def test_a_value_that_cannot_be_pushed_is_a_problem_that_does_not_quote_it(
    row: dict[str, Any], problem: tuple[str, str]
) -> None:
    composed = COMPOSER.resource(row)
    assert [(found.column, found.rule) for found in composed.problems] == [problem]
    assert not any(str(value) in found.reason for found in composed.problems for value in row.values())


def test_a_resource_of_ecw_that_is_not_fhir_is_a_problem_and_not_an_exception() -> None:
    composed = COMPOSER.resource({"phone": "9135552003"}, into={"resourceType": "Patient", "telecom": ["secret"]})
    assert [(found.column, found.rule) for found in composed.problems] == [("phone", "not FHIR")]


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_column_does_not_change_ecws_value(empty: str | None) -> None:
    existing = {"name": [{"family": "Lee", "given": ["Ann", "B"]}]}
    composed = COMPOSER.resource({"middle_name": empty, "city": empty}, into=existing)
    assert (composed.resource, composed.written, composed.problems) == (existing, [], [])


def test_a_time_is_written_with_the_practices_offset(mapping_of: Callable[..., Mapping]) -> None:
    column = "      - {name: died, label: Died, path: deceased.ofType(dateTime), type: datetime, sync: both}\n"
    composer = Composer(mapping_of(column))
    for moment in ("2022-07-22T16:00:00+00:00", "2022-07-22T16:00:00"):  # times of a row are UTC
        assert composer.resource({"died": moment}).resource["deceasedDateTime"] == "2022-07-22T12:00:00-04:00"
    assert [found.rule for found in composer.resource({"died": "secret"}).problems] == ["date"]
