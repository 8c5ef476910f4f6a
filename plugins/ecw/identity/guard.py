"""Whether a record still describes the person that a link was made for.

A link says that a row of the CRM and a chart of eCW are one person.  A CRM's user can write another person into the
row, a CRM can give the key of a deleted row to the next intake, and a clinic can write another person into a chart.  A
corrected typo, a name after marriage and a newborn's name are no other person; two such changes at once are, until
somebody says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecw.identity.compare import Verdict, compare, contradictions
from ecw.identity.held import Held
from ecw.identity.names import Relation, are_short_forms, are_siblings, family_relation, given_relation, swapped
from ecw.identity.person import Person


def mismatch(ours: Person, theirs: Person) -> str | None:
    """Return why two records that somebody says are one person may be two, in words that hold no value; None: they fit.

    Their birth dates must be the same, their names nearly, and nothing may contradict.
    """
    found = compare(ours, theirs)
    if not ours.born or ours.born != theirs.born or found.verdict == Verdict.DIFFERENT:
        return Held.NAME_OR_BIRTH_DATE_DIFFERS
    if not (found.is_rival or found.verdict == Verdict.SAME):
        return Held.DIFFERS.of(found.contradictions[0]) if found.contradictions else Held.NAME_OR_BIRTH_DATE_DIFFERS
    return None


def is_still(before: Person, now: Person, *, renewed: bool = False) -> bool:
    """Return True where a record can have come from an earlier state of itself by a correction or a life event.

    Where the earlier state says too little to tell a person, it tells nothing.  Of a record that was made anew under
    the same key (`renewed`), name and birth date must be the very same.
    """
    if not before.is_known:
        return True
    mine, yours = before.name, now.name
    family, given = family_relation(mine, yours), given_relation(mine, yours)
    same_name = family == given == Relation.EQUAL or not (mine.family or mine.given)
    against = contradictions(before, now)
    if renewed:
        return same_name and before.born == now.born and not against
    if before.born and before.born != now.born:
        # A birth date alone is corrected; a father's row that becomes his son's says more that differs.
        return same_name and not against and not _has_moved(before, now)
    if mine.first == yours.first:
        return not are_siblings(mine, yours)  # also with another family name: after marriage
    if given == Relation.EQUAL or mine.is_placeholder or not mine.given or swapped(mine, yours):
        return True
    # Another first name is a twin's, or one that somebody took; a typo alone is none.
    return are_short_forms(mine.first, yours.first) or (given == Relation.NEAR and not against)


def _has_moved(before: Person, now: Person) -> bool:
    """Return True where both states say how to reach the person, and no way is the same."""
    ways = [(one.phones, one.emails) for one in (before, now)]
    (phones, mails), (their_phones, their_mails) = ways
    if not (phones or mails or before.addresses) or not (their_phones or their_mails or now.addresses):
        return False
    shared = phones & their_phones or mails & their_mails
    return not shared and not any(one.is_same_as(other) for one in before.addresses for other in now.addresses)


@dataclass(frozen=True, slots=True)
class Link:
    """Both sides of a link now, and what each was when both were last agreed on, or confirmed to be one person."""

    crm: Person
    emr: Person
    crm_before: tuple[Person, ...] = ()
    emr_before: tuple[Person, ...] = ()
    renewed: bool = False  # the CRM's row lost the eCW id: it may have been deleted, and its key given anew

    def another_person(self) -> str | None:
        """Return which side describes somebody else than the link was made for; None: none does.

        Where both sides say the same of the person, whatever they said before, nobody is mistaken for another.
        """
        if mismatch(self.crm, self.emr) is None and (not self.renewed or compare(self.crm, self.emr).has_same_name):
            return None
        if not _is_known_as(self.crm, self.crm_before, renewed=self.renewed):
            return Held.CRM_DIFFERS
        return None if _is_known_as(self.emr, self.emr_before) else Held.EMR_DIFFERS


def _is_known_as(now: Person, states: tuple[Person, ...], *, renewed: bool = False) -> bool:
    known = [state for state in states if state.is_known]
    return not known or any(is_still(state, now, renewed=renewed) for state in known)
