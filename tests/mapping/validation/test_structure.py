"""Paths are checked against FHIR's structure, and elements that a mapping neither maps nor excludes are reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ecw.mapping.definition.files import all_mappings
from ecw.mapping.definition.model import Mapping
from ecw.mapping.validation.structure import check_structure, elements

COLUMN = "      - {name: x, label: X, path: PATH, type: string, sync: SYNC}\n"


@pytest.mark.parametrize("name", sorted(all_mappings()))
def test_every_element_is_mapped_or_excluded_with_a_reason(name: str) -> None:
    assert check_structure(all_mappings()[name]) == []


@pytest.mark.parametrize(
    ("path", "sync", "problem"),
    [
        ("nmae.first().family", "pull", "Patient has no element 'nmae'; did you mean 'name'?"),
        ("name.first().famly", "pull", "HumanName has no element 'famly'; did you mean 'family'?"),
        ("telecom.where(sytem='phone').value", "pull", "ContactPoint has no element 'sytem'; did you mean 'system'?"),
        ("communication.language.coding.cod", "pull", "Coding has no element 'cod'; did you mean 'code'?"),
        ("deceased.ofType(string)", "pull", "Patient has no element 'deceasedString'; did you mean 'deceased"),
        ("gender.code", "pull", "a plain value has no element 'code'"),
        ("(name | contact.name).first().famly", "pull", "HumanName has no element 'famly'"),
        ("name.family", "both", "name repeats: select the one that a push writes"),
        ("name.first().given", "both", "given repeats: select the one that a push writes"),
        ("(communication.where(preferred=true) | communication).first().language.text", "both", None),
        ("extension('u').value.ofType(Coding).code", "both", None),
        ("extension('u').value.code", "pull", None),
        ("deceased", "pull", None),
        ("maritalStatus", "pull", "maritalStatus has members: name the one that the column takes"),
        ("name.first()", "pull", "name has members"),
        ("extension('u')", "pull", "extension('u') has members"),
        ("gender | maritalStatus.coding.first()", "pull", "coding has members"),
        ("active", "pull", "active is never a value of type string: use boolean"),
        ("extension('u').value.ofType(decimal)", "pull", "use decimal"),
        ("birthDate", "pull", None),
        ("multipleBirth.ofType(integer)", "pull", None),
    ],
)
def test_a_wrong_path_is_reported_with_its_line(
    mapping_of: Callable[..., Mapping], path: str, sync: str, problem: str | None
) -> None:
    mapping = mapping_of(COLUMN.replace("PATH", f'"{path}"').replace("SYNC", sync))
    lines = [line for line in check_structure(mapping) if "column 'x'" in line]
    assert len(lines) == (problem is not None), lines
    if problem:
        assert problem in lines[0]
        assert lines[0].startswith(f"{mapping.file}:8: ")


def test_a_column_of_the_type_concept_needs_a_concept(mapping_of: Callable[..., Mapping]) -> None:
    mapping = mapping_of("      - {name: x, label: X, path: gender, type: concept}\n")
    [line] = [line for line in check_structure(mapping) if "column 'x'" in line]
    assert "gender is not a CodeableConcept or Coding, which the type concept needs" in line


@pytest.mark.parametrize(("sync", "problems"), [("pull", 0), ("both", 1)])
def test_a_column_whose_type_comes_from_cleaning_cannot_be_pushed(
    mapping_of: Callable[..., Mapping], sync: str, problems: int
) -> None:
    column = f"      - {{name: x, label: X, path: gender, type: boolean, clean: active_status, sync: {sync}}}\n"
    lines = [line for line in check_structure(mapping_of(column)) if "gender is never a value of type boolean" in line]
    assert len(lines) == problems


def test_elements_in_no_column_are_reported(mapping_of: Callable[..., Mapping]) -> None:
    mapping = mapping_of(COLUMN.replace("PATH", "birthDate").replace("SYNC", "pull"))
    report = "\n".join(check_structure(mapping))
    assert "photo is in no column: map it" in report
    assert "us-core-race is in no column: map it" in report
    assert "deceased is in no column" in report
    assert "deceasedBoolean" not in report
    assert "birthDate is in no column" not in report


def test_a_wrong_entry_of_excluded_is_reported(mapping_of: Callable[..., Mapping]) -> None:
    file = mapping_of(COLUMN.replace("PATH", "birthDate").replace("SYNC", "pull")).file
    file.write_text(file.read_text().replace("excluded: {}", "excluded: {birthDate: why, foto: why}"))
    from ecw.mapping.definition.files import load_mapping

    report = "\n".join(check_structure(load_mapping(file)))
    assert "birthDate is excluded, but a column uses it" in report
    assert "Patient has no element 'foto'; did you mean 'photo'?" in report


def test_a_resource_that_fhir_does_not_have_is_reported(mapping_of: Callable[..., Mapping]) -> None:
    assert "'Patent' is not a FHIR resource" in check_structure(mapping_of("", resource="Patent"))[0]


def test_the_elements_of_a_type_have_their_cardinality_type_and_choice() -> None:
    patient = elements("Patient")
    assert patient["name"].repeats
    assert patient["name"].type == "HumanName"
    assert not patient["maritalStatus"].repeats
    assert patient["deceasedBoolean"].common == "deceased"
    assert elements("Encounter")["class"].type == "Coding"
