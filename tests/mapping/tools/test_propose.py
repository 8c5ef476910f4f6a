"""Crosswalk lines proposed from the names of both sides: only certain pairs become lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.tools.propose import CERTAIN, likeness, propose

EMPTY = Crosswalk("location", ())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Main Street Clinic", "MAIN STREET CLINIC"),
        ("St. Mary's Ctr", "Saint Marys Center"),
        ("The Recovery Center, LLC", "Recovery Center"),
        ("Café Clinic", "Cafe Clinic"),
        ("Clinic Topeka", "Topeka Clinic"),
        ("Topeka Outpatient Clinic", "Topeka Outpatient Clinics"),
        ("Behavioral Health Topeka", "Behavioural Health Topeka"),
    ],
)
def test_two_spellings_of_one_place_are_certain(one: str, other: str) -> None:
    assert likeness(one, other) >= CERTAIN


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("North Clinic", "South Clinic"),
        ("Building 1", "Building 2"),
        ("Detox Inpatient", "Detox Outpatient"),
        ("Topeka", "Wichita"),
        ("", "Clinic"),
        ("???", "!!!"),
    ],
)
def test_the_names_of_two_places_are_not_certain(one: str, other: str) -> None:
    assert likeness(one, other) < CERTAIN


@given(st.text(), st.text())
def test_likeness_is_between_0_and_1_and_nearly_symmetric(one: str, other: str) -> None:
    found = likeness(one, other)
    assert 0 <= found <= 1
    assert found == pytest.approx(likeness(other, one), abs=0.15)  # difflib's ratio is not exactly symmetric


def test_certain_pairs_become_lines_and_the_rest_is_listed_for_a_person() -> None:
    ecw = {
        "Location/a": "Main St Clinic",
        "Location/b": "Northside Ctr",
        "Location/c": "Mobile Unit",
        "Location/d": "Topeka Clinic East",
        "Location/e": "Topeka Clinic East",
    }
    found = propose(EMPTY, ecw, ["Main Saint Clinic", "Northside Center", "Topeka Clinic East", "Warehouse"])

    assert found.lines == [
        "Location/a,Main Saint Clinic,,eCW: Main St Clinic",
        "Location/b,Northside Center,,eCW: Northside Ctr",
    ]
    assert [each.code for each in found.ambiguous] == ["Location/d", "Location/e"], "two codes have the same name"
    assert found.alone == [("Location/c", "Mobile Unit")]
    assert found.unused == ["Topeka Clinic East", "Warehouse"]


def test_two_equally_similar_crm_values_are_ambiguous() -> None:
    found = propose(EMPTY, {"Location/a": "Topeka Clinic"}, ["Topeka Clinics", "Topeka Clinic."])

    assert found.lines == []
    assert {value for value, _ in found.ambiguous[0].candidates} == {"Topeka Clinics", "Topeka Clinic."}


def test_a_code_that_the_crosswalk_has_is_not_proposed_again() -> None:
    known = Crosswalk("location", (("Location/a", "Annex", "", ""),))

    found = propose(known, {"Location/a": "Main Clinic", "Location/b": "Annex"}, ["Main Clinic", "Annex"])

    assert found.lines == ["Location/b,Annex,,eCW: Annex"]
    assert found.unused == ["Main Clinic"]
