"""Read the identifying data of a FHIR Patient.  A Person holds patient data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ecw.identity.names import Name
from ecw.identity.text import fold

Resource = Mapping[str, Any]
NULL_DATE = "1899-12-30"  # eCW's null date: living patients have it as the date of death (reference, section 3)
_PAST = ("old", "maiden", "temp")  # uses of a name that is not the present one
_SSN = "http://hl7.org/fhir/sid/us-ssn"
# Texts that people write if there is no phone number, e-mail or street address: they do not identify anybody.
_NO_PHONE = re.compile(r"(\d)\1{6,}|0*|123456789\d?|\d{3}5551212|.{0,6}")
_NO_MAIL = re.compile(
    r"(no|none|na|n/?a|noemail|no-?reply|declined|refused|unknown|test)@.*|.*@(none|na|test|example)\..*"
)
_NO_STREET = re.compile(r"(homeless|unknown|none|na|generaldelivery|declined|refused|test).*|\D*")
_STREET_WORDS = {
    **dict.fromkeys(
        ("st", "street", "ave", "av", "avenue", "rd", "road", "dr", "drive", "ln", "lane", "ct", "court"), ""
    ),
    **dict.fromkeys(("blvd", "boulevard", "pl", "place", "ter", "terrace", "cir", "circle", "pkwy", "parkway"), ""),
    **dict.fromkeys(("way", "hwy", "highway", "apt", "apartment", "unit", "ste", "suite", "no"), ""),
    **{"north": "n", "south": "s", "east": "e", "west": "w"},
}


@dataclass(frozen=True, slots=True)
class Address:
    """A street with house number, postal code and city."""

    street: str
    zip5: str
    city: str

    def is_same_as(self, other: Address) -> bool:
        """Return True for the same street and number in the same place; a missing postal code or city is ignored."""
        if self.street != other.street:
            return False
        if self.zip5 and other.zip5:
            return self.zip5 == other.zip5
        return self.city == other.city or not (self.city and other.city)


@dataclass(frozen=True, slots=True)
class Person:
    """Names (the present one first), birth date and other data that can agree or contradict.

    `accounts` are the numbers that a practice assigns to one patient only; `identifiers` are all numbers, also those
    that the CRM made up.
    """

    names: tuple[Name, ...] = ()
    born: str = ""
    gender: str = ""  # male, female; "" for any other value
    deceased: bool = False
    phones: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    addresses: tuple[Address, ...] = ()
    identifiers: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    ssn: frozenset[str] = frozenset()

    @classmethod
    def of(cls, patient: Resource) -> Self:
        """Read a FHIR Patient; malformed elements are left out."""
        telecom = [(each.get("system"), _text(each.get("value"))) for each in _objects(patient, "telecom")]
        numbers = {_text(each.get("value")) for each in _objects(patient, "identifier")} - {""}
        social = {_text(each.get("value")) for each in _objects(patient, "identifier") if each.get("system") == _SSN}
        died = patient.get("deceasedDateTime")
        gender = patient.get("gender")
        return cls(
            names=tuple(sorted(_names(patient), key=lambda name: not name.current)),
            born=_text(patient.get("birthDate")),
            gender=gender if gender in ("male", "female") else "",
            deceased=patient.get("deceasedBoolean") is True
            or (isinstance(died, str) and not died.startswith(NULL_DATE)),
            phones=frozenset(_phones(value for system, value in telecom if system == "phone")),
            emails=frozenset(
                mail
                for system, value in telecom
                if system == "email"
                if (mail := value.strip().casefold())
                if "@" in mail and not _NO_MAIL.fullmatch(mail)
            ),
            addresses=tuple(_addresses(patient)),
            identifiers=frozenset(numbers),
            # eCW repeats the resource id among the identifiers (reference, section 3).
            accounts=frozenset(numbers - social - {_text(patient.get("id"))}),
            ssn=frozenset(digits for value in social if len(digits := re.sub(r"\D", "", value)) == 9),
        )

    def knowing(self, identifiers: Iterable[str], accounts: Iterable[str]) -> Self:
        """Return the person with further identifiers, and with these account numbers instead of its own."""
        return replace(self, identifiers=self.identifiers | {*identifiers}, accounts=frozenset(accounts))

    @property
    def name(self) -> Name:
        """The present name."""
        return self.names[0] if self.names else Name()

    @property
    def is_known(self) -> bool:
        """True if there is at least a birth date, or a family and a given name."""
        return bool(self.born or (self.name.family and self.name.given))


def _names(patient: Resource) -> Iterator[Name]:
    for each in _objects(patient, "name"):
        given = [value for value in _list(each.get("given")) if isinstance(value, str)]
        suffixes = [value for value in _list(each.get("suffix")) if isinstance(value, str)]
        name = Name.of(_text(each.get("family")), given, suffixes, current=each.get("use") not in _PAST)
        if name.family or name.given:
            yield name


def _phones(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        digits = re.sub(r"\D", "", value)
        digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
        if not _NO_PHONE.fullmatch(digits):
            yield digits


def _addresses(patient: Resource) -> Iterator[Address]:
    for each in _objects(patient, "address"):
        lines = [value for value in _list(each.get("line")) if isinstance(value, str)]
        words = [fold(word) for word in re.split(r"[\s,.#]+", " ".join(lines))]
        street = " ".join(kept for word in words if (kept := _STREET_WORDS.get(word, word)))
        if not _NO_STREET.fullmatch(street.replace(" ", "")):
            digits = re.sub(r"\D", "", _text(each.get("postalCode")))
            yield Address(street, digits[:5], fold(_text(each.get("city"))))


def _objects(resource: Resource, element: str) -> list[Resource]:
    return [each for each in _list(resource.get(element)) if isinstance(each, Mapping)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
