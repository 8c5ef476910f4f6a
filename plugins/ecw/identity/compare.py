"""Whether two records are the same person: for certain, maybe, or not.

    SAME        birth date and name are the same, something beyond them agrees (an account number, phone, e-mail
                address, street, social security number), and nothing contradicts
    MAYBE       a person must decide: the names are near, or a name and something beyond agree, or something contradicts
    DIFFERENT   neither

Twins have one birth date, family name, street and phone, and can have one first name; a father and his son have one
name and street.  So a contradiction (a further given name, suffix, gender, account number, SSN, a mark of death) always
keeps two records from being SAME, and what one side does not say is no agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ecw.identity.held import Held
from ecw.identity.names import Name, Relation, family_relation, given_relation, may_be_siblings, middle_differs, swapped
from ecw.identity.person import Person


class Verdict(StrEnum):
    """What a comparison comes to."""

    SAME = "same"
    MAYBE = "maybe"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict, and why in words that hold no value.

    `contradictions` and `agreeing` name what speaks against and for it, beyond name and birth date. `is_rival`: the
    names fit, and nothing contradicts, so that nobody else can be certain.
    """

    verdict: Verdict
    why: str = ""
    contradictions: tuple[str, ...] = ()
    agreeing: tuple[str, ...] = ()
    is_rival: bool = False
    has_same_name: bool = False


def compare(ours: Person, theirs: Person) -> Comparison:
    """Compare two records of persons."""
    found = [_compare(ours, theirs, mine, yours) for mine in ours.names for yours in theirs.names]
    order = (Verdict.SAME, Verdict.MAYBE, Verdict.DIFFERENT)
    return min(found, key=lambda one: order.index(one.verdict), default=Comparison(Verdict.DIFFERENT))


def contradictions(ours: Person, theirs: Person) -> tuple[str, ...]:
    """Name what the two records say that cannot both be true of one person, beyond family name and birth date."""
    return tuple(_contradictions(ours, theirs, ours.name, theirs.name))


def _compare(ours: Person, theirs: Person, mine: Name, yours: Name) -> Comparison:
    family, given = family_relation(mine, yours), given_relation(mine, yours)
    against, agreeing = tuple(_contradictions(ours, theirs, mine, yours)), tuple(_agreeing(ours, theirs))
    strong = bool({*agreeing} & {"account number", "SSN"})
    unnamed = mine.is_placeholder or yours.is_placeholder
    born = bool(ours.born) and ours.born == theirs.born
    same_name = family == given == Relation.EQUAL
    fits = min(family, given) > Relation.UNRELATED or (unnamed and family > Relation.UNRELATED)
    rival = born and fits and not against

    def maybe(why: str) -> Comparison:
        words = Held.DIFFERS.of(against[0]) if against else why
        return Comparison(Verdict.MAYBE, words, against, agreeing, rival, born and same_name)

    if not born:
        if strong:
            return maybe(Held.OTHER_BIRTH_DATE)
        near = same_name and (agreeing or _is_slip(ours.born, theirs.born))
        return maybe(Held.NEAR_BIRTH_DATE) if near else Comparison(Verdict.DIFFERENT)
    if not against and mine.current and yours.current and not unnamed:
        if given == Relation.EQUAL and strong:
            return Comparison(Verdict.SAME, "", (), agreeing, is_rival=True, has_same_name=same_name)
        if same_name and agreeing and not may_be_siblings(mine, yours):
            return Comparison(Verdict.SAME, "", (), agreeing, is_rival=True, has_same_name=same_name)
    if same_name:
        if not unnamed and not agreeing:
            return maybe(Held.NAME_ONLY)
        return maybe(Held.SIBLING)
    if unnamed and family > Relation.UNRELATED and "the gender" not in against:
        return maybe(Held.NO_GIVEN_NAME)
    if fits or swapped(mine, yours):
        return maybe(Held.NEAR_NAME)
    if strong:
        return maybe(Held.OTHER_NAME.of(agreeing[0]))
    if agreeing and given > Relation.UNRELATED:
        return maybe(Held.NEAR_GIVEN_NAME.of(agreeing[0]))
    if agreeing and "the gender" not in against:
        return maybe((Held.SHARED_BY_FAMILY if family else Held.SHARED).of(agreeing[0]))
    if given == Relation.EQUAL and min(len(mine.given), len(yours.given)) > 1:
        return maybe(Held.GIVEN_NAMES)
    return Comparison(Verdict.DIFFERENT, "", against, agreeing)


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
    """Return True for two days that a slip of the hand makes of one another: a digit, or day and month swapped."""
    if len(one) != 10 or len(other) != 10:
        return False
    swap = f"{one[:4]}-{one[8:]}-{one[5:7]}"
    return swap == other or sum(mine != yours for mine, yours in zip(one, other, strict=True)) == 1


def day_month_swapped(born: str) -> str | None:
    """Return a birth date with day and month swapped, where that is another day of the calendar."""
    if len(born) != 10 or born[8:] > "12" or born[5:7] == born[8:]:
        return None
    return f"{born[:4]}-{born[8:]}-{born[5:7]}"
