"""A shorter form or another spelling of a sent value is not an edit; another value is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.spelling import is_respelled


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Bartholomew-Montgomery", "Bartholomew-Mont"),
        ("Bartholomew-Montgomery", "BARTHOLOMEW MONTGOM"),
        ("1234 North Main Street Apartment 5", "1234 N MAIN ST APT 5"),
        ("1234 North Main Street, Apartment 5", "1234 N Main St, Ap"),
        ("Saint Louis", "ST. LOUIS"),
        ("Fort Worth", "Ft Worth"),
        ("02139-4307", "02139"),
        ("+1 (913) 555-2003", "9135552003"),
        ("9135552003", "1-913-555-2003"),
        ("José", "Jose"),
        ("José", "Jos?"),
        ("José Luis", "Jos Luis"),
        ("Łukasik", "Lukasik"),
        ("Søren", "Soren"),
        ("Weiß", "Weiss"),
        ("O'Brien", "O&#39;BRIEN"),
        ("O’Brien", "OBrien"),
        ("de la  Cruz", "De La Cruz"),
        ("Maria Fernanda", "MARIA F"),
        ("Kansas", "KS"),
        ("New York", "NY"),
        ("United States", "US"),
        ("Junior", "JR"),
    ],
)
def test_another_spelling_is_recognised(sent: str, shown: str) -> None:
    assert is_respelled(sent, shown)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Maria", "Marie"),
        ("Marina", "Maria"),
        ("Topeka", "Lawrence"),
        ("12 Main Street", "14 Main Street"),
        ("12 Main Street", "2 Main Street"),
        ("9135552003", "9135552004"),
        ("9135552003", "2003"),
        ("Maria", "Maria Fernanda"),
        ("Kansas", "KY"),
        ("Maria", ""),
        ("Maria", "?????"),
        ("North Main", "South Main"),
        ("Main Street", "Main Road"),
        ("李", "王"),
    ],
)
def test_another_value_is_not_a_spelling(sent: str, shown: str) -> None:
    assert not is_respelled(sent, shown)


@given(text=st.text(min_size=1).filter(lambda text: any(each.isalnum() for each in text)), length=st.integers(1, 40))
def test_every_cut_of_a_text_is_its_shorter_form(text: str, length: int) -> None:
    cut = text[:length]
    assert is_respelled(text, cut) or not any(each.isalnum() for each in cut) or "&" in cut
