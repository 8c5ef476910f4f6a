"""Decide whether two records are the same person: certainly, maybe, or not.

    SAME        birth date and name are the same, something else agrees (an account number, phone, e-mail address,
                street, social security number), and nothing contradicts
    MAYBE       a person must decide: the names are similar, or a name and something else agree, or something
                contradicts
    DIFFERENT   neither

Twins share birth date, family name, street and phone, and may share the first name; a father and a son may share name
and street.  So a contradiction (a further given name, suffix, gender, account number, SSN, a mark of death) always
prevents SAME, and a value that one side lacks does not agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ecw.identity.held import Held
from ecw.identity.names import Name, Relation, family_relation, given_relation, may_be_siblings, middle_differs, swapped
from ecw.identity.person import Person


class Verdict(StrEnum):
    """The result of a comparison."""

    SAME = "same"
    MAYBE = "maybe"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict, and the reason (`why`), which holds no values.

    `contradictions` and `agreeing` name the data beside name and birth date that contradict and agree. `is_rival` is
    true if the names fit and nothing contradicts: then no other record can be certain.
    """

    verdict: Verdict
    why: str = ""
    contradictions: tuple[str, ...] = ()
    agreeing: tuple[str, ...] = ()
    is_rival: bool = False
    has_same_name: bool = False


DIFFERENT = Comparison(Verdict.DIFFERENT)


def compare(ours: Person, theirs: Person) -> Comparison:
    """Compare two records of persons by every pair of their names; return the best comparison."""
    comparisons = [_compare(ours, theirs, mine, yours) for mine in ours.names for yours in theirs.names]
    order = (Verdict.SAME, Verdict.MAYBE, Verdict.DIFFERENT)
    return min(comparisons, key=lambda one: order.index(one.verdict), default=DIFFERENT)


def contradictions(ours: Person, theirs: Person) -> tuple[str, ...]:
    """Name the data in which two records contradict each other, beside family name and birth date."""
    return tuple(_contradictions(ours, theirs, ours.name, theirs.name))


@dataclass(frozen=True, slots=True)
class _Evidence:
    """How one name of each record relates, and which other data of the records contradict and agree."""

    mine: Name
    yours: Name
    family: Relation
    given: Relation
    contradicting: tuple[str, ...]
    agreeing: tuple[str, ...]

    @property
    def has_strong_agreement(self) -> bool:
        return "account number" in self.agreeing or "SSN" in self.agreeing

    @property
    def has_placeholder(self) -> bool:
        return self.mine.is_placeholder or self.yours.is_placeholder

    @property
    def has_same_name(self) -> bool:
        return self.family == self.given == Relation.EQUAL

    @property
    def has_fitting_names(self) -> bool:
        return self.family > Relation.UNRELATED and (self.given > Relation.UNRELATED or self.has_placeholder)

    @property
    def is_certain(self) -> bool:
        """With the same birth date the records are the same person."""
        if self.contradicting or self.has_placeholder or not (self.mine.current and self.yours.current):
            return False
        if self.given == Relation.EQUAL and self.has_strong_agreement:
            return True
        return self.has_same_name and bool(self.agreeing) and not may_be_siblings(self.mine, self.yours)


def _compare(ours: Person, theirs: Person, mine: Name, yours: Name) -> Comparison:
    contradicting, agreeing = tuple(_contradictions(ours, theirs, mine, yours)), tuple(_agreeing(ours, theirs))
    evidence = _Evidence(
        mine, yours, family_relation(mine, yours), given_relation(mine, yours), contradicting, agreeing
    )
    same_birth_date = bool(ours.born) and ours.born == theirs.born
    same_name = same_birth_date and evidence.has_same_name
    if same_birth_date and evidence.is_certain:
        return Comparison(Verdict.SAME, "", (), agreeing, is_rival=True, has_same_name=same_name)
    doubt = _doubt(evidence) if same_birth_date else _doubt_about_birth_date(evidence, ours.born, theirs.born)
    if doubt is None:
        return Comparison(Verdict.DIFFERENT, "", contradicting, agreeing) if same_birth_date else DIFFERENT
    why = Held.DIFFERS.of(contradicting[0]) if contradicting else doubt
    is_rival = same_birth_date and evidence.has_fitting_names and not contradicting
    return Comparison(Verdict.MAYBE, why, contradicting, agreeing, is_rival, same_name)


def _doubt_about_birth_date(evidence: _Evidence, born: str, other: str) -> str | None:
    """Return why two records with different birth dates may be one person, None if they are not."""
    if evidence.has_strong_agreement:
        return Held.OTHER_BIRTH_DATE
    near = evidence.has_same_name and (evidence.agreeing or _is_slip(born, other))
    return Held.NEAR_BIRTH_DATE if near else None


def _doubt(evidence: _Evidence) -> str | None:
    """Return why two records with the same birth date may be one person, None if they are not."""
    mine, yours, agreeing = evidence.mine, evidence.yours, evidence.agreeing
    same_gender = "the gender" not in evidence.contradicting
    if evidence.has_same_name:
        return Held.SIBLING if evidence.has_placeholder or agreeing else Held.NAME_ONLY
    if evidence.has_placeholder and evidence.family > Relation.UNRELATED and same_gender:
        return Held.NO_GIVEN_NAME
    if evidence.has_fitting_names or swapped(mine, yours):
        return Held.NEAR_NAME
    if evidence.has_strong_agreement:
        return Held.OTHER_NAME.of(agreeing[0])
    if agreeing and evidence.given > Relation.UNRELATED:
        return Held.NEAR_GIVEN_NAME.of(agreeing[0])
    if agreeing and same_gender:
        return (Held.SHARED_BY_FAMILY if evidence.family else Held.SHARED).of(agreeing[0])
    if evidence.given == Relation.EQUAL and min(len(mine.given), len(yours.given)) > 1:
        return Held.GIVEN_NAMES
    return None


def _contradictions(ours: Person, theirs: Person, mine: Name, yours: Name) -> list[str]:
    found = {
        "the gender": bool(ours.gender and theirs.gender) and ours.gender != theirs.gender,
        "the suffix": bool(mine.suffix and yours.suffix) and mine.suffix != yours.suffix,
        "a further given name": middle_differs(mine.given, yours.given),
        "the account number": _disjoint(ours.accounts, theirs.accounts),
        "the SSN": _disjoint(ours.ssn, theirs.ssn),
        "the mark of death": ours.deceased != theirs.deceased,
    }
    return [name for name, differs in found.items() if differs]


def _agreeing(ours: Person, theirs: Person) -> list[str]:
    found = {
        "SSN": bool(ours.ssn & theirs.ssn),
        "account number": bool(ours.identifiers & theirs.identifiers),
        "phone": bool(ours.phones & theirs.phones),
        "e-mail address": bool(ours.emails & theirs.emails),
        "street": any(mine.is_same_as(yours) for mine in ours.addresses for yours in theirs.addresses),
    }
    return [name for name, agrees in found.items() if agrees]


def _disjoint(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    return bool(ours and theirs) and not ours & theirs


def _is_slip(one: str, other: str) -> bool:
    """Return True if two dates differ by a typing mistake: one digit, or day and month swapped."""
    if len(one) != 10 or len(other) != 10:
        return False
    swap = f"{one[:4]}-{one[8:]}-{one[5:7]}"
    return swap == other or sum(mine != yours for mine, yours in zip(one, other, strict=True)) == 1


def day_month_swapped(born: str) -> str | None:
    """Return a birth date with day and month swapped, None if that is the same date or none."""
    if len(born) != 10 or born[8:] > "12" or born[5:7] == born[8:]:
        return None
    return f"{born[:4]}-{born[8:]}-{born[5:7]}"
