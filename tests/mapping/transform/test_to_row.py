"""A resource becomes a row, or a list of all its problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.mapping.definition.files import all_mappings
from ecw.mapping.definition.model import Mapping
from ecw.mapping.transform.to_row import Mapper, Problem

MappingOf = Callable[..., Mapping]

DOB = "      - {name: dob, label: DOB, path: birthDate, type: date}\n"
DIED = "      - {name: died, label: Died, path: deceased.ofType(dateTime), type: datetime, null_if: [1899-12-30]}\n"
RACE = (
    "      - {name: race, label: Race, path: extension('r').value.ofType(Coding).code, type: code, crosswalk: race}\n"
)


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p.1", **elements}


def test_a_row_has_every_pulled_column(mapping_of: MappingOf) -> None:
    push = "      - {name: out, label: Out, path: gender, type: code, sync: push}\n"
    mapped = Mapper(mapping_of(DOB + DIED + push)).row(patient(birthDate="2001-05-27"))
    assert mapped.row == {"ecw_id": "p.1", "dob": "2001-05-27", "died": None}
    assert mapped.problems == []


@pytest.mark.parametrize("null", ["1899-12-30T00:00:00-05:00", "1899-12-30", "1899-12-30T00:00:00Z"])
def test_a_null_date_is_mapped_to_null(mapping_of: MappingOf, null: str) -> None:
    assert Mapper(mapping_of(DIED)).row(patient(deceasedDateTime=null)).row["died"] is None


def test_false_is_mapped_to_null_if_null_if_lists_it(mapping_of: MappingOf) -> None:
    column = "      - {name: on, label: On, path: active, type: boolean, null_if: [false]}\n"
    mapper = Mapper(mapping_of(column))
    assert [mapper.row(patient(active=active)).row["on"] for active in (False, True)] == [None, True]


def test_all_problems_of_a_record_are_reported_without_values(mapping_of: MappingOf) -> None:
    mapped = Mapper(mapping_of(DOB + DIED)).row(
        {"resourceType": "Patient", "birthDate": "1987-99-99", "deceasedDateTime": "x"}
    )
    assert [(problem.column, problem.rule) for problem in mapped.problems] == [
        ("dob", "date"),
        ("died", "date"),
        ("ecw_id", "required"),
    ]
    assert not any("1987" in problem.reason for problem in mapped.problems)


@pytest.mark.parametrize(("required", "problems", "warnings"), [("", 0, 1), (", required: true", 1, 0)])
def test_a_partial_date_rejects_the_record_only_if_the_column_is_required(
    mapping_of: MappingOf, required: str, problems: int, warnings: int
) -> None:
    mapped = Mapper(mapping_of(DOB.replace("type: date", f"type: date{required}"))).row(patient(birthDate="1987"))
    assert [each.rule for each in mapped.problems] == ["partial date"] * problems
    assert [(each.column, each.rule) for each in mapped.warnings] == [("dob", "partial date")] * warnings
    assert mapped.row["dob"] is None


def test_a_record_of_another_type_is_a_problem(mapping_of: MappingOf) -> None:
    mapped = Mapper(mapping_of(DOB)).row({"resourceType": "OperationOutcome"})
    assert mapped.problems == [Problem(None, "resource type", "this is not a Patient")]


def test_a_record_that_is_not_fhir_is_a_problem_and_not_an_exception(mapping_of: MappingOf) -> None:
    column = "      - {name: phone, label: P, path: telecom.where(use='home').value, type: string}\n"
    mapped = Mapper(mapping_of(column)).row(patient(telecom=["5550100", None]))
    assert [problem.rule for problem in mapped.problems] == ["not FHIR"]


def race(code: str) -> dict[str, Any]:
    return patient(extension=[{"url": "r", "valueCoding": {"code": code}}])


@pytest.mark.parametrize(
    ("policy", "value", "rules"),
    [
        ("race: {unmapped: reject}", None, ["unmapped code"]),
        ("race: {unmapped: keep}", "9999-9", []),
        ("race: {unmapped: default, default: Unknown}", "Unknown", []),
    ],
)
def test_an_unmapped_code_follows_the_policy_and_is_counted(
    mapping_of: MappingOf, policy: str, value: str | None, rules: list[str]
) -> None:
    mapper = Mapper(mapping_of(RACE, policies=policy, race="2106-3,White,,\n"))
    mapped = mapper.row(race("9999-9"))
    assert mapped.row["race"] == value
    assert mapped.unmapped == [("race", "9999-9")]
    assert [problem.rule for problem in mapped.problems] == rules
    mapped = mapper.row(race("2106-3"))
    assert (mapped.row["race"], mapped.unmapped, mapped.problems) == ("White", [], [])


def test_the_practices_time_zone_replaces_that_of_the_mapping(mapping_of: MappingOf) -> None:
    mapping = mapping_of(DIED)
    died = patient(deceasedDateTime="2022-07-22")
    assert Mapper(mapping).row(died).row["died"] == "2022-07-22T04:00:00+00:00"
    assert Mapper(mapping, time_zone="America/Denver").row(died).row["died"] == "2022-07-22T06:00:00+00:00"


@pytest.mark.parametrize("name", sorted(all_mappings()))
def test_all_sample_data_is_mapped_without_problems(name: str, samples: Callable[[str], list[dict[str, Any]]]) -> None:
    mapping = all_mappings()[name]
    mapper = Mapper(mapping)
    for resource in samples(mapping.resource):
        mapped = mapper.row(resource)
        assert mapped.problems == [], resource["id"]
        assert list(mapped.row) == [column.name for column in mapping.pulled]
        assert mapped.row["ecw_id"] == resource["id"]


def test_the_generated_source_names_the_path_of_each_value(mapping_of: MappingOf) -> None:
    source = Mapper(mapping_of(DOB)).source
    assert "v2 = r.get('birthDate')  # birthDate" in source


@pytest.mark.parametrize(
    ("references", "value"),
    [
        ([" Practitioner/a.1 "], "Practitioner/a.1"),
        (["x", "Practitioner/a.1"], "Practitioner/a.1"),
        ([7], None),
        ([], None),
    ],
)
def test_a_reference_is_cleaned_before_it_is_read(
    mapping_of: MappingOf, references: list[Any], value: str | None
) -> None:
    column = "      - {name: by, label: By, path: generalPractitioner.reference, type: reference, clean: [trim]}\n"
    record = patient(generalPractitioner=[{"reference": reference} for reference in references])
    assert Mapper(mapping_of(column)).row(record).row["by"] == value
