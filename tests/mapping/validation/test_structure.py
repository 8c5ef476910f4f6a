"""Paths are held against FHIR, and so is what a mapping forgets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ecw.mapping.definition.files import all_mappings
from ecw.mapping.definition.model import Mapping
from ecw.mapping.validation.structure import check_structure, elements

COLUMN = "      - {name: x, label: X, path: PATH, type: string, sync: SYNC}\n"


@pytest.mark.parametrize("name", sorted(all_mappings()))
def test_every_element_is_mapped_or_left_out_with_a_reason(name: str) -> None:
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
def test_a_path(mapping_of: Callable[..., Mapping], path: str, sync: str, problem: str | None) -> None:
    mapping = mapping_of(COLUMN.replace("PATH", f'"{path}"').replace("SYNC", sync))
    told = [line for line in check_structure(mapping) if "column 'x'" in line]
    assert len(told) == (problem is not None), told
    if problem:
        assert problem in told[0]
        assert told[0].startswith(f"{mapping.file}:8: ")


@pytest.mark.parametrize(("sync", "problems"), [("pull", 0), ("both", 1)])
def test_what_cleaning_makes_cannot_be_pushed(mapping_of: Callable[..., Mapping], sync: str, problems: int) -> None:
    column = f"      - {{name: x, label: X, path: gender, type: boolean, clean: active_status, sync: {sync}}}\n"
    told = [line for line in check_structure(mapping_of(column)) if "gender is never a value of type boolean" in line]
    assert len(told) == problems


def test_what_is_forgotten(mapping_of: Callable[..., Mapping]) -> None:
    mapping = mapping_of(COLUMN.replace("PATH", "birthDate").replace("SYNC", "pull"))
    told = "\n".join(check_structure(mapping))
    assert "photo is in no column: map it" in told
    assert "us-core-race is in no column: map it" in told
    assert "deceased is in no column" in told
    assert "deceasedBoolean" not in told
    assert "birthDate is in no column" not in told


def test_a_leave_out_that_is_wrong(mapping_of: Callable[..., Mapping]) -> None:
    file = mapping_of(COLUMN.replace("PATH", "birthDate").replace("SYNC", "pull")).file
    file.write_text(file.read_text().replace("excluded: {}", "excluded: {birthDate: why, foto: why}"))
    from ecw.mapping.definition.files import load_mapping

    told = "\n".join(check_structure(load_mapping(file)))
    assert "birthDate is excluded, but a column uses it" in told
    assert "Patient has no element 'foto'; did you mean 'photo'?" in told


def test_a_resource_that_is_not_fhir(mapping_of: Callable[..., Mapping]) -> None:
    assert "'Patent' is not a FHIR resource" in check_structure(mapping_of("", resource="Patent"))[0]


def test_elements() -> None:
    patient = elements("Patient")
    assert patient["name"].repeats
    assert patient["name"].type == "HumanName"
    assert not patient["maritalStatus"].repeats
    assert patient["deceasedBoolean"].common == "deceased"
    assert elements("Encounter")["class"].type == "Coding"
