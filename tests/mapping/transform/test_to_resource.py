"""A row becomes a resource: a new one, or what eCW has with only the differences written."""

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


def test_the_seed_s_request_is_reproduced_exactly(shared_data: Path) -> None:
    composed = COMPOSER.resource(ROW)
    assert composed.problems == []
    assert bundle.create(composed.resource) == orjson.loads(
        (shared_data / "seed/push-patient-bundle.json").read_bytes()
    )


def test_what_was_composed_maps_back() -> None:
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
def test_composing_what_was_mapped_changes_nothing(resource: dict[str, Any]) -> None:
    row = MAPPER.row(resource).row
    composed = COMPOSER.resource(row, into=resource)
    assert composed.resource == resource
    assert composed.written == []


def test_eCW_s_spelling_stays_where_it_says_the_same() -> None:  # noqa: N802
    there = {
        "telecom": [{"system": "phone", "use": "home", "value": "(913) 555-2003"}],
        "address": [{"postalCode": "668391105"}],
    }
    composed = COMPOSER.resource({"phone": "9135552003", "postal_code": "66839-1105"}, into=there)
    assert composed.resource == there


def test_the_CRM_s_spelling_is_no_change_and_is_not_sent() -> None:  # noqa: N802
    there = {"telecom": [{"system": "phone", "use": "home", "value": "9135552003"}]}
    row = {"phone": "(913) 555-2003"}
    assert COMPOSER.resource(row, into=there).written == []
    assert COMPOSER.resource(row).resource["telecom"] == there["telecom"]


def test_an_update_keeps_everything_it_does_not_own() -> None:
    there = {
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
    expected = deepcopy(there)
    expected["name"][1]["family"] = "Baker"
    expected["telecom"][0]["value"] = "9135552003"
    composed = COMPOSER.resource({"last_name": "Baker", "phone": "9135552003", "city": None}, into=there)
    assert composed.resource == expected
    assert composed.written == ["last_name", "phone"]
    assert there["telecom"][0]["value"] == "1"  # the argument itself is left alone


def test_clearing_is_asked_for_by_name() -> None:
    there = {
        "telecom": [{"system": "phone", "use": "home", "value": "1"}],
        "maritalStatus": {"coding": [{"code": "M"}], "text": "M"},
    }
    assert COMPOSER.resource({"phone": None, "marital_status": None}, into=there).resource == there
    assert COMPOSER.resource({}, into=there, clear=["phone", "marital_status"]).resource == {}


@pytest.mark.parametrize(
    ("there", "cleared", "left"),
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
            {},  # all codings of a concept say one thing
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
        # Nor does a sibling of a later use or rank come in its place, wherever it stands.
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
        # What nothing would take the place of goes.
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
def test_what_is_cleared_moves_nothing_else(there: dict[str, Any], cleared: str, left: dict[str, Any]) -> None:
    before = {column.name: COMPOSER.present(column, there) for column in COMPOSER.columns}
    composed = COMPOSER.resource({}, into=there, clear=[cleared])
    assert composed.resource == left
    after = {column.name: COMPOSER.present(column, composed.resource) for column in COMPOSER.columns}
    assert after == before | {cleared: None}
    again = COMPOSER.resource({cleared: before[cleared]}, into=composed.resource)
    assert {column.name: COMPOSER.present(column, again.resource) for column in COMPOSER.columns} == before
    assert "data-absent-reason" not in str(again.resource), "it is there again"


def test_a_gap_at_the_end_goes_with_what_came_after_it() -> None:
    there = {"address": [{"use": "home", "line": ["A", "B"], "city": "C"}]}
    gap = COMPOSER.resource({}, into=there, clear=["address_line1"]).resource
    assert COMPOSER.resource({}, into=gap, clear=["address_line2"]).resource == {
        "address": [{"use": "home", "city": "C"}]
    }
    assert COMPOSER.resource({}, into=there, clear=["address_line1", "address_line2"]).resource == {
        "address": [{"use": "home", "city": "C"}]
    }


def test_a_coding_without_system_does_not_keep_the_old_one(mapping_of: Callable[..., Mapping]) -> None:
    column = (
        "      - name: sex\n        label: Sex\n        path: maritalStatus.coding.first().code\n        type: code\n"
        "        sync: both\n        crosswalk: sex\n"
        "        set_with: {maritalStatus.coding.first().system: '%system'}\n"
    )
    composer = Composer(mapping_of(column, policies="sex: {unmapped: reject}", sex="a,A,s,\nb,B,,\n"))
    there = {"maritalStatus": {"coding": [{"system": "s", "code": "a"}]}}
    assert composer.resource({"sex": "B"}, into=there).resource == {"maritalStatus": {"coding": [{"code": "b"}]}}


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
def test_what_cannot_be_pushed_is_a_problem_without_its_value(row: dict[str, Any], problem: tuple[str, str]) -> None:
    composed = COMPOSER.resource(row)
    assert [(found.column, found.rule) for found in composed.problems] == [problem]
    assert not any(str(value) in found.reason for found in composed.problems for value in row.values())


def test_what_eCW_has_that_is_not_fhir_is_a_problem_and_no_crash() -> None:  # noqa: N802
    composed = COMPOSER.resource({"phone": "9135552003"}, into={"resourceType": "Patient", "telecom": ["secret"]})
    assert [(found.column, found.rule) for found in composed.problems] == [("phone", "not FHIR")]


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_column_leaves_what_eCW_has(empty: str | None) -> None:  # noqa: N802
    there = {"name": [{"family": "Lee", "given": ["Ann", "B"]}]}
    composed = COMPOSER.resource({"middle_name": empty, "city": empty}, into=there)
    assert (composed.resource, composed.written, composed.problems) == (there, [], [])


def test_a_moment_is_written_with_the_practice_s_offset(mapping_of: Callable[..., Mapping]) -> None:
    column = "      - {name: died, label: Died, path: deceased.ofType(dateTime), type: datetime, sync: both}\n"
    composer = Composer(mapping_of(column))
    for moment in ("2022-07-22T16:00:00+00:00", "2022-07-22T16:00:00"):  # a row's moments are UTC
        assert composer.resource({"died": moment}).resource["deceasedDateTime"] == "2022-07-22T12:00:00-04:00"
    assert [found.rule for found in composer.resource({"died": "secret"}).problems] == ["date"]
