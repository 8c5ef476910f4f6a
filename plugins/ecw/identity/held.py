"""The reasons why a patient is held, each with its resolution, for the journal, the summaries and the reference.

A reason is its message, without values.  `of` replaces `{}` by the name of the data that agree or differ.
"""

from __future__ import annotations

import re
from enum import StrEnum

_CHOOSE = (
    "compare both sides with `ecw matches show CRM_ID`; then `ecw matches choose CRM_ID` with the patient's eCW id, "
    "or with `new` for a new patient."
)
_SAME = (
    "compare both sides with `ecw matches show CRM_ID`; then `ecw matches same CRM_ID` if they are one person, else "
    "`ecw matches unlink CRM_ID`. If you correct the row in the CRM instead, the push continues by itself."
)
_JOIN = (
    "two rows of the CRM name one eCW patient. If they are one person, join them in the CRM "
    "(docs/how-to/held-patients.md); if they are two, `ecw matches choose CRM_ID new`."
)
_AGAIN = "decide again: `ecw matches show CRM_ID`, then `ecw matches choose CRM_ID` with an eCW id or `new`."


class Held(StrEnum):
    """The reasons why a patient is held."""

    SEVERAL = "several could be the patient"
    NAME_ONLY = "nothing beyond the name and the birth date agrees"
    SIBLING = "the given name may also be that of a brother or sister"
    NO_GIVEN_NAME = "one of the two has no given name yet"
    NEAR_NAME = "the name is nearly the same"
    NEAR_BIRTH_DATE = "the birth date is nearly the same"
    OTHER_BIRTH_DATE = "the account number is the same, the birth date is not"
    OTHER_NAME = "birth date and {} are the same, the name is not"
    NEAR_GIVEN_NAME = "birth date and {} are the same, and the given name nearly"
    SHARED = "birth date and {} are the same"
    SHARED_BY_FAMILY = "birth date, family name and {} are the same"
    GIVEN_NAMES = "birth date and all given names are the same"
    DIFFERS = "{} differs"
    NAME_OR_BIRTH_DATE_DIFFERS = "the birth date or the name differs"
    MAYBE_CREATED = "it may have been created before the CRM changed"
    ECW_SAYS_SO = "eCW says that it has the patient, and the searches do not find it"
    CHOICE_NOT_FOUND = "the searches no longer find the chosen patient"
    CHOICE_GONE = "the chosen patient was deleted in eCW, or merged into another"
    CHOICE_RIVALLED = "since the choice eCW has another patient who could be the same person"
    LINKED_ALREADY = "it is linked to another record of the CRM"
    CRM_DIFFERS = "the CRM's row now describes somebody else"
    EMR_DIFFERS = "eCW's chart now describes somebody else"
    NAMES_ANOTHER = "the CRM's row names another eCW id than its link"

    def of(self, *names: str) -> str:
        """Return the message with the names of the data that agree or differ."""
        return self.format(*names)

    @property
    def resolution(self) -> str:
        """What a person must do; it begins in lower case, like the next step of an error."""
        if self is Held.LINKED_ALREADY:
            return _JOIN
        if self in (Held.CRM_DIFFERS, Held.EMR_DIFFERS, Held.NAMES_ANOTHER):
            return _SAME
        return _AGAIN if self in (Held.CHOICE_NOT_FOUND, Held.CHOICE_GONE, Held.CHOICE_RIVALLED) else _CHOOSE


def reason_of(message: str) -> Held:
    """Return the reason of a message.  Raises ValueError for an unknown message."""
    if message in set(Held):
        return Held(message)
    for reason in Held:
        if re.fullmatch(re.escape(reason).replace(r"\{\}", ".+"), message):
            return reason
    raise ValueError("No reason has this message.")
