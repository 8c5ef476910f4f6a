"""Cleaning functions, each with the habit of eCW's users that it corrects."""

from __future__ import annotations

import pytest

from ecw.mapping.values.clean import CLEANERS


@pytest.mark.parametrize(
    ("name", "text", "cleaned"),
    [
        ("trim", "  Ann ", "Ann"),
        ("trim", "   ", None),
        ("commas_to_spaces", "Mary,Ann", "Mary Ann"),
        ("commas_to_spaces", "Mary, Ann ,", "Mary Ann"),
        ("commas_to_spaces", ",", None),
        ("phone_digits", "(913) 555-2003", "9135552003"),
        ("phone_digits", "+1 913 555 2003", "9135552003"),
        ("phone_digits", "+49 30 123456", "+49 30 123456"),  # ten digits, but not a US number
        ("phone_digits", "+977 1 4261 600", "+977 1 4261 600"),
        ("phone_digits", "555-0100 ext. 7", "555-0100 ext. 7"),
        ("us_zip", "668391105", "66839-1105"),
        ("us_zip", "66839", "66839"),
        ("us_zip", "K1A 0B1", "K1A 0B1"),
        ("lower", " A@B.C ", "a@b.c"),
        ("upper", "ks", "KS"),
        ("active_status", "active", True),
        ("active_status", "suspended", False),
        ("drop_partial_date", "1987", None),
        ("drop_partial_date", "1987-02", None),
        ("drop_partial_date", "1987-02-20", "1987-02-20"),
        ("drop_search_reference", "Practitioner?identifier=a|b", None),
        ("drop_search_reference", "Practitioner/a", "Practitioner/a"),
    ],
)
def test_each_cleaning_function_corrects_its_habit(name: str, text: str, cleaned: object) -> None:
    assert CLEANERS[name](text) == cleaned


@pytest.mark.parametrize("name", sorted(CLEANERS))
@pytest.mark.parametrize("text", ["", " x, y ", "+1 (913) 555-2003", "668391105", "active", "1987-02", "A/b?c"])
def test_cleaning_a_cleaned_value_changes_nothing(name: str, text: str) -> None:
    clean = CLEANERS[name]
    once = clean(text)
    assert not isinstance(once, str) or clean(once) == once
