"""The published cases in shared/data/cases: real shapes that once failed, and the expected result of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.transform.to_resource import Composer
from ecw.mapping.transform.to_row import MappedRow, Mapper
from ecw.mapping.validation.resource import judge
from ecw.pull.extract.search_request import SearchRequest, of_patient
from ecw.pull.map_records import what_became

Json = dict[str, Any]
MAPPINGS = {"Patient": "patient", "Coverage": "insurance", "Encounter": "encounter"}
Row = Callable[[MappedRow], bool]

ROWS: dict[str, Json] = {
    "birth-time": {"birth_date": "1980-02-03"},
    "concepts-with-text-only": {
        "marital_status": "Single",
        "language": "Spanish",
        "race": "Asian",
        "ethnicity": "Unknown",
        "marital_status_text": "Single",
        "race_text": "Asian",
    },
    "coverage-beneficiary-versioned": {"patient": "Patient/p1"},
    "coverage-payor-url": {"payer": "Aetna", "payer_reference": None},
    "deceased-date-then-crm-says-deceased": {"deceased": True, "deceased_on": "2024-03-01T15:00:00+00:00"},
    "deceased-null-date-of-sql-server": {"deceased": None, "deceased_on": None},
    "encounter-contained-location": {"location": None, "treatment_program": None, "status": "Scheduled"},
    "encounter-end-of-time": {"end_time": None, "start_time": "2024-03-10T15:00:00+00:00"},
    "encounter-referrer-before-attender": {"practitioner": "Practitioner/attender"},
    "encounter-status-history-without-period": {"status": "Scheduled", "start_time": "2026-12-01T15:00:00+00:00"},
    "encounter-time-without-offset": {"start_time": "2023-05-16T19:00:00+00:00"},
    "language-local-coding-first": {"language": "English"},
    "marital-status-of-v2-table-0002": {"marital_status": "Domestic Partner"},
    "patient-birth-year-only": {"birth_date": None, "last_name": "Roe"},
    "patient-given-name-only": {"first_name": "Suharto", "last_name": None},
    "patient-name-and-address-ended": {"last_name": "Roe", "address_line1": "2 New St", "city": "Bolton"},
    "patient-usual-without-family": {"last_name": "Roe", "first_name": "Ann"},
    "race-three-categories": {"race": "White; Asian", "race_text": "Mixed"},
    "text-beside-parts": {"last_name": "Roe", "address_line1": "1 Old St"},
}
WARNED = {
    "coverage-payor-url": ["payer_reference"],
    "encounter-contained-location": ["location", "treatment_program"],
    "patient-birth-year-only": ["birth_date"],
}
SPARED = {
    "encounter-status-history-without-period": "Encounter.statusHistory[0].period: is missing",
    "encounter-time-without-offset": "times without an offset are read in the practice's time zone",
}


@pytest.fixture
def case(shared_data: Path) -> Callable[[str], Json]:
    """Return a function that reads a case by its file's name."""

    def read(name: str) -> Json:
        path = shared_data / "cases" / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"../shared/data has no case {name}")
        content: Json = orjson.loads(path.read_bytes())
        return content

    return read


def mapper_of(case: Json) -> Mapper:
    return Mapper(load_mapping(MAPPINGS[case["resource"]["resourceType"]]))


def pushed(case: Json) -> Json:
    """Return the case's resource after a push of its columns, which must have no problems and be read back."""
    composer = Composer(load_mapping("patient"))
    composed = composer.resource(case["push"], into=case["resource"])
    assert composed.problems == []
    row = mapper_of(case).row(composed.resource).row
    assert {name: row[name] for name in case["push"]} == case["push"]
    return composed.resource


def test_every_case_has_a_test(shared_data: Path) -> None:
    found = {path.stem for path in (shared_data / "cases").glob("*.json")}
    assert len(found) >= 20
    assert found == {*ROWS, "patient-name-text-only"}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_case_is_mapped_to_the_expected_row(name: str, case: Callable[[str], Json]) -> None:
    example = case(name)
    mapper = mapper_of(example)
    wrong, spared = judge(example["resource"], mapper.elements)
    mapped = mapper.row(example["resource"])
    assert (wrong, mapped.problems) == ([], [])
    assert {column: mapped.row[column] for column in ROWS[name]} == ROWS[name]
    assert [problem.column for problem in mapped.warnings] == WARNED.get(name, [])
    assert [problem.reason for problem in spared] == ([SPARED[name]] if name in SPARED else [])


def test_a_name_that_is_only_a_text_is_rejected(case: Callable[[str], Json]) -> None:
    example = case("patient-name-text-only")
    problems = mapper_of(example).row(example["resource"]).problems
    assert {problem.rule for problem in problems} == {"name.text"}
    assert all("name.text" in problem.reason for problem in problems)


def test_a_versioned_beneficiary_belongs_to_its_search(case: Callable[[str], Json]) -> None:
    request: SearchRequest = of_patient("p1")
    assert request.holds is not None
    assert request.holds(case("coverage-beneficiary-versioned")["resource"])


def test_a_null_date_of_death_does_not_mark_the_patient_deceased(case: Callable[[str], Json]) -> None:
    assert what_became(case("deceased-null-date-of-sql-server")["resource"]) is None


def test_a_push_of_deceased_keeps_the_date_of_death(case: Callable[[str], Json]) -> None:
    example = case("deceased-date-then-crm-says-deceased")
    assert pushed(example) == example["resource"]


def test_a_push_of_another_birth_date_removes_the_time_of_birth(case: Callable[[str], Json]) -> None:
    resource = pushed(case("birth-time"))
    assert resource["birthDate"] == "1980-02-04"
    assert "_birthDate" not in resource


def test_a_push_of_another_language_removes_the_old_codings(case: Callable[[str], Json]) -> None:
    assert pushed(case("language-local-coding-first"))["communication"] == [
        {
            "language": {
                "coding": [{"system": "urn:ietf:bcp:47", "code": "SPA", "display": "Spanish"}],
                "text": "Spanish",
            },
            "preferred": True,
        }
    ]


def test_a_push_does_not_change_an_address_that_has_ended(case: Callable[[str], Json]) -> None:
    example = case("patient-name-and-address-ended")
    old, new = pushed(example)["address"]
    assert old == example["resource"]["address"][0]
    assert new == example["resource"]["address"][1] | {"line": ["9 Next Rd"]}


def test_a_push_of_another_race_replaces_categories_and_text(case: Callable[[str], Json]) -> None:
    [race] = pushed(case("race-three-categories"))["extension"]
    assert race["extension"] == [
        {
            "url": "ombCategory",
            "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2028-9", "display": "Asian"},
        },
        {"url": "text", "valueString": "Asian"},
    ]


def test_a_push_updates_the_texts_of_name_and_address(case: Callable[[str], Json]) -> None:
    resource = pushed(case("text-beside-parts"))
    assert resource["name"][0]["text"] == "Doe Ann Mae"
    assert resource["address"][0]["text"] == "9 New Rd, Salem MA 02118"
