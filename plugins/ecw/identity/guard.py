"""Check whether a record still describes the person that a link was made for.

A link says that a row of the CRM and a chart of eCW are one person.  But a user of the CRM can write another person
into the row, the CRM can reuse the key of a deleted row for a new patient, and a clinic can write another person into a
chart.  One change, such as a corrected typo, a name after marriage or a newborn's name, is still the same person.  Two
such changes at once count as another person until somebody decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecw.identity.compare import Verdict, compare, contradictions
from ecw.identity.held import Held
from ecw.identity.names import Relation, are_short_forms, are_siblings, family_relation, given_relation, swapped
from ecw.identity.person import Person


def mismatch(ours: Person, theirs: Person) -> str | None:
    """Return why two records that are said to be one person may be two, without values; None if they fit.

    They fit if the birth dates are the same, the names are similar, and nothing contradicts.
    """
    found = compare(ours, theirs)
    if not ours.born or ours.born != theirs.born or found.verdict == Verdict.DIFFERENT:
        return Held.NAME_OR_BIRTH_DATE_DIFFERS
    if not (found.is_rival or found.verdict == Verdict.SAME):
        return Held.DIFFERS.of(found.contradictions[0]) if found.contradictions else Held.NAME_OR_BIRTH_DATE_DIFFERS
    return None


def is_still(before: Person, now: Person, *, renewed: bool = False) -> bool:
    """Return True if a correction or a life event can explain the change from `before` to `now`.

    Also return True if `before` holds too little to identify a person.  If the record may have been created again under
    the same key (`renewed`), name and birth date must be equal.
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
        # A changed birth date alone is a correction. If a father's row became his son's, more would differ.
        return same_name and not against and not _has_moved(before, now)
    if mine.first == yours.first:
        return not are_siblings(mine, yours)  # also with another family name: after marriage
    if given == Relation.EQUAL or mine.is_placeholder or not mine.given or swapped(mine, yours):
        return True
    # A first name that is neither a short form nor a typo is a twin's or another person's.
    return are_short_forms(mine.first, yours.first) or (given == Relation.NEAR and not against)


def _has_moved(before: Person, now: Person) -> bool:
    """Return True if both states have phones, e-mail or street addresses, and none is the same."""
    if not all(state.phones or state.emails or state.addresses for state in (before, now)):
        return False
    shared = before.phones & now.phones or before.emails & now.emails
    return not shared and not any(one.is_same_as(other) for one in before.addresses for other in now.addresses)


@dataclass(frozen=True, slots=True)
class Link:
    """Both sides of a link now, and their earlier states: in the merge base, and when the link was confirmed."""

    crm: Person
    emr: Person
    crm_before: tuple[Person, ...] = ()
    emr_before: tuple[Person, ...] = ()
    renewed: bool = False  # the CRM's row lost the eCW id: it may have been deleted, and its key reused

    def another_person(self) -> str | None:
        """Return which side describes another person than the link was made for, None if neither does.

        If both sides fit each other now, earlier states do not matter.
        """
        if mismatch(self.crm, self.emr) is None and (not self.renewed or compare(self.crm, self.emr).has_same_name):
            return None
        if not _is_known_as(self.crm, self.crm_before, renewed=self.renewed):
            return Held.CRM_DIFFERS
        return None if _is_known_as(self.emr, self.emr_before) else Held.EMR_DIFFERS


def _is_known_as(now: Person, states: tuple[Person, ...], *, renewed: bool = False) -> bool:
    known = [state for state in states if state.is_known]
    return not known or any(is_still(state, now, renewed=renewed) for state in known)
