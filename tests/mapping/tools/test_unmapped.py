"""Codes without a crosswalk line are counted, and printed as lines to add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ecw.mapping.definition.crosswalks import as_read, for_spreadsheets
from ecw.mapping.definition.model import Mapping
from ecw.mapping.tools.unmapped import Unmapped, UnmappedCodes

COLUMNS = """\
      - {name: race, label: Race, path: maritalStatus.coding.first().code, type: code, crosswalk: race}
      - {name: place, label: Place, path: generalPractitioner.first().reference, type: reference, crosswalk: place}
"""
POLICIES = "race: {unmapped: reject}\nplace: {unmapped: keep}\n"


def patient(code: str, display: str | None, place: str = "Practitioner/a.1") -> dict[str, Any]:
    coding = {"system": "urn:s", "code": code} | ({"display": display} if display else {})
    return {
        "resourceType": "Patient",
        "id": "p",
        "maritalStatus": {"coding": [coding]},
        "generalPractitioner": [{"reference": f"http://x.example/{place}", "display": "Dr, Who"}],
    }


def test_lines_to_add_are_sorted_by_rejected_records(mapping_of: Callable[..., Mapping]) -> None:
    codes = UnmappedCodes(mapping_of(COLUMNS, policies=POLICIES, race="1,One,,\n", place=""))
    for resource in (patient("1", "One"), patient("2", None), patient("2", "Two"), patient("3", None)):
        codes.add(resource)
    found = codes.worst_first()
    assert [(entry.crosswalk, entry.code, entry.records, entry.records_rejected) for entry in found] == [
        ("race", "2", 2, 2),
        ("race", "3", 1, 1),
        ("place", "Practitioner/a.1", 4, 0),
    ]
    assert [entry.line for entry in found] == [
        "2,Two,urn:s,seen in 2 records",
        "3,,urn:s,seen in 1 record",
        'Practitioner/a.1,"Dr, Who",,seen in 4 records',
    ]


def test_the_printed_lines_fix_the_crosswalk(mapping_of: Callable[..., Mapping]) -> None:
    codes = UnmappedCodes(mapping_of(COLUMNS, policies=POLICIES, race="1,One,,\n", place=""))
    codes.add(patient("2", "Two"))
    lines = {name: "\n".join(e.line for e in codes.worst_first() if e.crosswalk == name) for name in ("race", "place")}
    fixed = UnmappedCodes(
        mapping_of(COLUMNS, policies=POLICIES, race=f"1,One,,\n{lines['race']}\n", place=lines["place"])
    )
    fixed.add(patient("2", "Two"))
    assert fixed.worst_first() == []
    assert fixed.mapper.row(patient("2", "Two")).row["race"] == "Two"


def test_a_line_has_the_system_and_display_of_its_code() -> None:
    from ecw.mapping.definition.files import load_mapping

    codes = UnmappedCodes(load_mapping("patient"))
    coding = {"system": "http://x.org", "code": "Q", "display": "Quux"}
    local = {"system": "http://x.org/2", "code": "9", "display": "Local"}
    codes.add({"resourceType": "Patient", "id": "p", "maritalStatus": {"coding": [coding, local]}})
    assert [entry.line for entry in codes.worst_first()] == ["Q,Quux,http://x.org,seen in 1 record"]


@given(st.lists(st.text(max_size=6) | st.sampled_from(["=1+1", "+1", "-x", "@x", "\t=x", "'=x", "'x"]), max_size=4))
def test_no_cell_is_a_formula_and_every_cell_is_read_back_unchanged(cells: list[str]) -> None:
    written = [for_spreadsheets(cell) for cell in cells]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in written)
    assert [as_read(cell) for cell in written] == cells


def test_a_code_that_looks_like_a_formula_is_written_as_text() -> None:
    line = Unmapped("plans", "=cmd|' /C calc'!A0", display="@SUM(1)").line
    assert line.startswith("'=cmd")
    assert ",'@SUM" in line


def test_a_code_of_a_concept_is_described_by_its_own_coding(mapping_of: Callable[..., Mapping]) -> None:
    column = (
        "      - {name: race, label: Race, path: communication.language, type: concept, crosswalk: race, "
        "several: ', '}\n"
    )
    codes = UnmappedCodes(mapping_of(column, policies="race: {unmapped: keep}\n", race="1,One,,\n"))
    known, unknown = {"system": "urn:s", "code": "1"}, {"system": "urn:t", "code": "2", "display": "Two"}
    codes.add(
        {
            "resourceType": "Patient",
            "id": "p",
            "communication": [{"language": {"coding": [coding]}} for coding in (known, unknown)],
        }
    )
    [found] = codes.worst_first()
    assert (found.code, found.display, found.system) == ("2", "Two", "urn:t")
