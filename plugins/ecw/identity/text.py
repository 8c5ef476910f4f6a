"""Compare texts regardless of case, accents and punctuation."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Letters that Unicode does not decompose into a letter and a mark.
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
)
_DIGITS = re.compile(r"\d+")


def fold(text: str) -> str:
    """Return a text's letters and digits without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return "".join(character for character in plain if character.isalnum())


def says_the_same(one: Any, other: Any) -> bool:
    """Return True for equal values, and for texts that are equal after `fold`.

    Two exceptions, because punctuation has a meaning there: e-mail addresses (a.b@x is not ab@x), and blanks and
    punctuation between digits (Unit 1-1 is not Unit 11).
    """
    if one == other:
        return True
    if not (isinstance(one, str) and isinstance(other, str)):
        return False
    if "@" in one or "@" in other:
        return (
            unicodedata.normalize("NFKC", one).strip().casefold()
            == unicodedata.normalize("NFKC", other).strip().casefold()
        )
    return fold(one) == fold(other) != "" and _DIGITS.findall(one) == _DIGITS.findall(other)
