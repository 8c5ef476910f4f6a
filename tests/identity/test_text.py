"""Another spelling of the same text is not an edit and not a conflict; another text is one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.identity.text import fold, says_the_same
from ecw.three_way_merge import MergeBase, Rule, merge

SAME = [
    ("José", unicodedata.normalize("NFD", "José")),
    ("SMITH", "Smith"),
    ("12  Main   Street", "12 Main Street"),
    ("O'Brien", "O’Brien"),
    ("Anne-Marie", "Anne Marie"),
    ("Łukasik", "LUKASIK"),
    ("Ewa@Example.org", "ewa@example.org"),
]
OTHER = [
    ("a.b@example.org", "ab@example.org"),
    ("Unit 1-1", "Unit 11"),
    ("12 1/2 Main Street", "121/2 Main Street"),
    ("Ewa", "Eva"),
    ("", "-"),
    ("Ewa", None),
    (1, "1"),
    ("-", "+"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
@pytest.mark.parametrize(
    "rule", [Rule("both", "hold"), Rule("both", "newest"), Rule("both", "crm"), Rule("both", "emr")]
)
def test_another_spelling_on_either_side_is_neither_an_update_nor_a_conflict(one: str, other: str, rule: Rule) -> None:
    assert says_the_same(one, other)
    for base in (MergeBase(), MergeBase.on({"x": one}), MergeBase.on({"x": other})):
        for crm, emr in ((one, other), (other, one)):
            merged = merge({"x": rule}, base, {"x": crm}, {"x": emr})
            assert (merged.to_crm, merged.to_emr, merged.conflicts) == ({}, {}, {})
    edited = merge({"x": rule}, MergeBase.on({"x": one}), {"x": other}, {"x": "Clinic"})
    assert (edited.to_crm, edited.conflicts) == ({"x": "Clinic"}, {}), "eCW's edit reaches the CRM, which made none"


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_texts_that_differ_in_a_meaningful_character_are_an_edit(one: object, other: object) -> None:
    assert not says_the_same(one, other)
    assert merge({"x": Rule()}, MergeBase.on({"x": one}), {"x": other}, {"x": one}).to_emr == {"x": other}


@given(st.text(), st.text(), st.text())
def test_says_the_same_is_an_equivalence_relation_and_no_coarser_than_fold(one: str, other: str, third: str) -> None:
    assert says_the_same(one, one)
    assert says_the_same(one, other) == says_the_same(other, one)
    if says_the_same(one, other):
        assert one == other or fold(one) == fold(other)
        if says_the_same(other, third):
            assert says_the_same(one, third)
