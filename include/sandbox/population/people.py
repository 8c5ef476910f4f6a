"""The patients, with every kind of wrong or odd data that recordings of eCW show."""

from __future__ import annotations

import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from include.sandbox.population import DATA_ABSENT, OID, US_CORE, Resource, Size
from include.sandbox.population.directory import Directory
from include.sandbox.population.draw import Draw
from include.sandbox.population.ids import opaque_id
from include.sandbox.population.words import (
    ETHNICITIES,
    FAMILIES,
    GIVEN,
    LANGUAGES,
    MARITAL,
    RACES,
    STREETS,
    TOWNS,
)  # fmt: skip

FIRST_ACCOUNT = 10_001
_OMB = "urn:oid:2.16.840.1.113883.6.238"
_NULL = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_BORN_FROM = date(1936, 1, 1)
_BORN_DAYS = 27_700  # to October 2011


class Person(NamedTuple):
    """The values by which a search finds a patient."""

    gender: str
    family: str
    given: str
    birth_date: str
    phone: str


class Patients(Directory):
    kind = "Patient"

    def __init__(self, size: Size) -> None:
        super().__init__(size, size.patients)
        self._found: dict[str, array[int]] = {}

    def person(self, key: int) -> Person:
        draw = self.draw(key)
        gender, family, given = draw.pick(("female", "male")), draw.pick(FAMILIES), ""
        given = draw.pick(GIVEN[gender])
        born = (_BORN_FROM + timedelta(days=draw.below(_BORN_DAYS))).isoformat()
        phone = f"{draw.pick(TOWNS)[3]}555{draw.below(10_000):04}"
        if key % 41 == 40:  # a twin: the same family name and birth date, another first name
            _, family, sibling, born, phone = self.person(key - 1)
            given = next(name for name in (given, "Robin", "Sasha") if name != sibling)
        return Person(gender, family, given, born, phone)

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        if "identifier" in params:
            value = params["identifier"].rpartition("|")[2]
            key = int(value) - FIRST_ACCOUNT if value.isdecimal() else self.key_of(value)
            return [key] if key is not None and 0 <= key < self.count else []
        if "phone" in params:
            return self._index().get("".join(filter(str.isdecimal, params["phone"])), ())
        if names := [params[name] for name in ("name", "family", "given") if name in params]:
            return self._index().get(initial(names[0]), ())
        return None

    def _index(self) -> dict[str, array[int]]:
        """Return the patients by the initials of their names and by phone; the index is built at the first search."""
        if not self._found:
            found: dict[str, array[int]] = defaultdict(lambda: array("l"))
            for key in range(self.count):
                person = self.person(key)
                names = _names(key, person)
                for letter in {initial(part) for name in names for part in (name["family"], *name["given"])}:
                    found[letter].append(key)
                found[person.phone].append(key)
            self._found = dict(found)
        return self._found

    def resource(self, key: int) -> Resource:
        person, draw = self.person(key), Draw(self.size.seed, "Patient details", key)
        resource = self.head(key, draw)
        language, spoken = draw.pick(LANGUAGES)
        status, marital = draw.pick(MARITAL)
        resource |= {
            "extension": _extensions(key, person, draw),
            "identifier": [
                {"use": "usual", "system": OID, "value": resource["id"]},
                {"use": "secondary", "system": OID, "value": str(FIRST_ACCOUNT + key)},
            ],
            "active": key % 17 != 5,
            "name": _names(key, person),
            "telecom": _telecom(key, person, draw),
            "gender": person.gender,
            "birthDate": person.birth_date,
            **_deceased(key, person),
            "address": _addresses(key, draw),
            "maritalStatus": {
                "coding": [
                    {
                        "system": _NULL
                        if status == "UNK"
                        else "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                        "code": status,
                        "display": marital,
                    }
                ],
                "text": marital,
            },
            "communication": [
                {
                    "language": {
                        "coding": [{"system": "urn:ietf:bcp:47", "code": language, "display": spoken}],
                        "text": spoken,
                    },
                    "preferred": True,
                }
            ],
        }
        if self.size.practitioners:
            doctor = opaque_id(self.size.seed, "Practitioner", draw.below(self.size.practitioners))
            resource["generalPractitioner"] = [{"reference": f"Practitioner/{doctor}"}]
        if self.size.locations:
            facility = opaque_id(self.size.seed, "Location", draw.below(self.size.locations))
            resource["extension"].append(
                {
                    "url": "http://eclinicalworks.com/supportingInfo/defaultFacility",
                    "valueReference": {"reference": f"Location/{facility}"},
                }
            )
        return resource


_SECOND = "Lee"  # the second first name behind a comma


def initial(name: str) -> str:
    """Return the first letter without its accent, in lower case, as searches compare."""
    return unicodedata.normalize("NFD", name)[:1].casefold()


def _old_family(person: Person) -> str:
    return FAMILIES[(len(person.given) * 7 + len(person.family)) % len(FAMILIES)]


def _names(key: int, person: Person) -> list[Resource]:
    given = [f"{person.given}, {_SECOND}"] if key % 19 == 6 else [person.given]
    if key % 5 == 1:
        given.append("J.")
    text = f"{person.family} {person.given}" if key % 3 else f"{person.given} {person.family}"
    names: list[Resource] = [{"use": "usual", "text": text, "family": person.family, "given": given}]
    if key % 7 == 3:
        old = {"use": "old", "family": _old_family(person), "given": [person.given], "period": {"end": "2021-06-30"}}
        names.insert(0, old)
    return names


def _telecom(key: int, person: Person, draw: Draw) -> list[Resource]:
    phone: Resource = {"system": "phone", "value": person.phone, "use": "mobile" if draw.percent(60) else "home"}
    if key % 31 == 9:
        phone = {"system": "phone", "_value": DATA_ABSENT, "use": "home"}
    email: Resource = {"system": "email", "value": f"{initial(person.given)}{key}@mail.example.com"}
    if key % 3 != 1:  # the others have no `use`
        email["use"] = "home"
    return [phone] if key % 10 == 8 else [phone, email]


def _addresses(key: int, draw: Draw) -> list[Resource]:
    def address(use: str) -> Resource:
        town, state, postal, _ = draw.pick(TOWNS)
        return {
            "use": use,
            "line": [f"{1 + draw.below(990)} {draw.pick(STREETS)}"] + (["Apt 4"] if draw.percent(15) else []),
            "city": town,
            "state": state,
            "postalCode": postal,
            "country": "US",
        }

    return [address("old"), address("home")] if key % 7 == 3 else [address("home")]


def _deceased(key: int, person: Person) -> Resource:
    if key % 13 == 4:  # a null date, on a living patient
        return {"deceasedDateTime": "1899-12-30T00:00:00-05:00"}
    if key % 29 == 7:
        return {"deceasedDateTime": "2025-02-11T00:00:00-05:00"}
    return {"deceasedBoolean": False}


def _extensions(key: int, person: Person, draw: Draw) -> list[Resource]:
    def omb(url: str, code: str, display: str, declined: bool) -> Resource:
        coding = (
            {"system": _NULL, "code": "ASKU", "display": "Declined to Specify"}
            if declined
            else {"system": _OMB, "code": code, "display": display}
        )
        parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": coding["display"]}]
        return {"url": f"{US_CORE}/{url}", "extension": parts}

    birth_sex = "UNK" if key % 23 == 8 else person.gender[0].upper()
    return [
        omb("us-core-race", *draw.pick(RACES), key % 11 == 2),
        omb("us-core-ethnicity", *draw.pick(ETHNICITIES), key % 11 == 9),
        {"url": f"{US_CORE}/us-core-birthsex", "valueCode": birth_sex},
    ]
