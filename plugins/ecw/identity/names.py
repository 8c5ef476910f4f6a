"""Parse a person's name, and compare two names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Self

from nicknames import NickNamer
from text_unidecode import unidecode  # type: ignore[import-untyped]  # it has no types

from ecw.identity.text import fold

NEAR_FAMILY = 0.88
NEAR_GIVEN = 0.85
_SHORT = 3  # least length of a short form (Ben for Benjamin), and of a name in which one letter may differ

_SUFFIXES = {
    **{"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "esq": "", "md": "", "phd": "", "rn": ""},
    **{"ii": "ii", "2nd": "ii", "iii": "iii", "3rd": "iii", "iv": "iv", "4th": "iv", "v": "v", "5th": "v"},
}
# Placeholders for a given name that is not known yet.
_PLACEHOLDER = re.compile(
    r"(baby|bebe|newborn|infant|neonate|twin|triplet).*|(baby)?(boy|girl)[a-d0-9]?|bb|bg|fnu|nfn|unk|"
)
_UNKNOWN = frozenset(
    {"unknown", "unnamed", "noname", "notnamed", "tbd", "none", "na", "test", "male", "female", "lnu", "nln"}
)
_WORDS = re.compile(r"[\s,;/\-\u2010-\u2015]+")


class Relation(IntEnum):
    """How similar two names, or parts of them, are; a higher value is more similar."""

    UNRELATED = 0
    NEAR = 1  # a typo, a part of the other, a short form, an initial
    EQUAL = 2


@dataclass(frozen=True, slots=True)
class Name:
    """A name for comparisons; `family` and `given` are the folded words, `texts` the words as written, for searches."""

    family: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    suffix: str = ""
    current: bool = True
    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, family: str, given: Iterable[str], suffixes: Iterable[str] = (), *, current: bool = True) -> Self:
        """Parse a name; a suffix that was written into the family or given name is recognised."""
        givens = [*given]
        families, suffix = _without_suffix(_words([family]))
        own, other = _without_suffix(_words(givens))
        found = next((_SUFFIXES.get(word, word) for word in _words(suffixes)), "") or suffix or other
        texts = dict.fromkeys(word.strip() for text in (family, *givens) for word in (text, *_WORDS.split(text)))
        return cls(families, own, found, current, tuple(text for text in texts if text))

    @property
    def first(self) -> str:
        """The first given name."""
        return self.given[0] if self.given else ""

    @property
    def is_placeholder(self) -> bool:
        """True if the given name is not known yet: BabyGirl, Newborn, FNU, or empty."""
        joined = "".join(self.given)
        return _PLACEHOLDER.fullmatch(joined) is not None or joined in _UNKNOWN or self.first in _UNKNOWN


def family_relation(one: Name, other: Name) -> Relation:
    """Compare family names, also word by word: Smith Garcia and Garcia are NEAR."""
    return _family_relation(one.family, other.family)


def _family_relation(one: tuple[str, ...], other: tuple[str, ...]) -> Relation:
    ours, theirs = "".join(one), "".join(other)
    if not ours or not theirs:
        return Relation.UNRELATED
    if ours == theirs:
        return Relation.EQUAL
    parts, their_parts = _parts(one), _parts(other)
    shared = any(_alike(mine, yours, NEAR_FAMILY) for mine in parts for yours in their_parts)
    return Relation.NEAR if shared or _alike(ours, theirs, NEAR_FAMILY) else Relation.UNRELATED


def given_relation(one: Name, other: Name) -> Relation:
    """Compare given names: EQUAL if the first is the same and no further one differs."""
    return _given_relation(one.given, other.given)


def _given_relation(one: tuple[str, ...], other: tuple[str, ...]) -> Relation:
    ours, theirs = "".join(one), "".join(other)
    if not ours or not theirs:
        return Relation.UNRELATED
    if ours == theirs or (one[0] == other[0] and not middle_differs(one, other)):
        return Relation.EQUAL
    pairs = [(mine, yours) for mine in one for yours in other if len(mine) > 1 and len(yours) > 1]
    near = any(_near_given(*pair) for pair in ((ours, theirs), (one[0], other[0]), *pairs))
    return Relation.NEAR if near else Relation.UNRELATED


def middle_differs(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return True if both have further given names that differ; an initial equals every name that it begins."""
    return any(
        not (mine.startswith(yours) if len(yours) == 1 else yours.startswith(mine) if len(mine) == 1 else mine == yours)
        for mine, yours in zip(one[1:], other[1:], strict=False)
    )


def may_be_siblings(one: Name, other: Name) -> bool:
    """Return True if the first given name is one that siblings may share, and only one side has a further one."""
    return (
        one.first == other.first
        and one.first in _lines("name_words.txt")["shared"]
        and (len(one.given) == 1) != (len(other.given) == 1)
    )


def are_siblings(one: Name, other: Name) -> bool:
    """Return True if the first given name is one that siblings may share, and the further ones are not related."""
    shared = one.first == other.first and one.first in _lines("name_words.txt")["shared"]
    further = one.given[1:], other.given[1:]
    return shared and all(further) and _given_relation(*further) == Relation.UNRELATED


def swapped(one: Name, other: Name) -> bool:
    """Return True if the family name of each is similar to the given name of the other."""
    return (
        _given_relation(one.given, other.family) > Relation.UNRELATED
        and _family_relation(one.family, other.given) > Relation.UNRELATED
    )


def are_short_forms(one: str, other: str) -> bool:
    """Return True if one folded given name is a short form of the other, or both are short forms of a third."""
    return bool(_full_forms(one) & _full_forms(other))


def variants(given: str) -> frozenset[str]:
    """Return the folded given names that a person with this one may also use."""
    full, short = _forms()
    forms = full.get(given, frozenset({given}))
    return frozenset(forms.union(*(short.get(form, frozenset()) for form in forms)))


@cache
def _lines(file: str) -> dict[str, frozenset[str]]:
    """Return the folded content of a data file beside this module: lines `name: word word`; `#` begins a comment."""
    found: dict[str, set[str]] = {}
    for line in Path(__file__).with_name(file).read_text("utf-8").splitlines():
        name, colon, words = line.partition(":")
        if colon and not line.startswith("#"):
            found.setdefault(fold(name), set()).update(fold(word) for word in words.split())
    return {name: frozenset(words) for name, words in found.items()}


@cache
def _forms() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Return two dictionaries by folded name: its full forms (including itself), and its short forms."""
    short = {name: set(forms) for name, forms in _lines("short_forms.txt").items()}
    for canonical, english in NickNamer().nickname_lookup.items():
        short.setdefault(fold(canonical), set()).update(fold(form) for form in english)
    full: dict[str, set[str]] = {}
    for name, forms in short.items():
        full.setdefault(name, set()).add(name)
        for form in forms:
            full.setdefault(form, {form}).add(name)
    return {name: frozenset(of) for name, of in full.items()}, {name: frozenset(of) for name, of in short.items()}


def _full_forms(given: str) -> frozenset[str]:
    return _forms()[0].get(given, frozenset({given}))


def _words(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        folded for text in texts for word in _WORDS.split(text) if (folded := fold(unidecode(word)) or fold(word))
    )


def _without_suffix(words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Split a suffix off the end of a name; not a single V, which may be a middle initial."""
    if len(words) > 1 and words[-1] in _SUFFIXES and words[-1] != "v":
        return words[:-1], _SUFFIXES[words[-1]]
    return words, ""


def _parts(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a family name without particles, or all words if only particles are left."""
    return tuple(word for word in words if word not in _lines("name_words.txt")["particles"] and len(word) > 1) or words


def _near_given(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) == 1:
        return longer.startswith(shorter)
    starts = len(shorter) >= _SHORT and longer.startswith(shorter)
    return starts or _alike(one, other, NEAR_GIVEN) or are_short_forms(one, other)


def _alike(one: str, other: str, least: float) -> bool:
    from rapidfuzz.distance import OSA, JaroWinkler  # not at the top: most commands compare no names

    if min(len(one), len(other)) >= _SHORT and OSA.distance(one, other, score_cutoff=1) <= 1:
        return True
    return bool(one) and bool(other) and JaroWinkler.normalized_similarity(one, other) >= least
