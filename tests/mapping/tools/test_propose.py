"""Crosswalk lines from the names of both sides: only what is certain is proposed."""

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
def test_names_of_one_place(one: str, other: str) -> None:
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
def test_names_of_two_places(one: str, other: str) -> None:
    assert likeness(one, other) < CERTAIN


@given(st.text(), st.text())
def test_likeness_is_symmetric_and_a_share(one: str, other: str) -> None:
    found = likeness(one, other)
    assert 0 <= found <= 1
    assert found == pytest.approx(likeness(other, one), abs=0.15)  # difflib's ratio is not quite


def test_what_is_certain_is_a_line_and_the_rest_is_for_a_person() -> None:
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
    assert [each.code for each in found.ambiguous] == ["Location/d", "Location/e"], "two of one name: which is it?"
    assert found.alone == [("Location/c", "Mobile Unit")]
    assert found.unused == ["Topeka Clinic East", "Warehouse"]


def test_two_words_of_the_crm_as_near_are_a_question() -> None:
    found = propose(EMPTY, {"Location/a": "Topeka Clinic"}, ["Topeka Clinics", "Topeka Clinic."])

    assert found.lines == []
    assert {word for word, _ in found.ambiguous[0].candidates} == {"Topeka Clinics", "Topeka Clinic."}


def test_what_the_crosswalk_has_is_left_alone() -> None:
    known = Crosswalk("location", (("Location/a", "Annex", "", ""),))

    found = propose(known, {"Location/a": "Main Clinic", "Location/b": "Annex"}, ["Main Clinic", "Annex"])

    assert found.lines == ["Location/b,Annex,,eCW: Annex"]
    assert found.unused == ["Main Clinic"]
