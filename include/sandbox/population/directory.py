"""The practice's directory: practitioners, locations, organizations (the practice, then payers) and groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from include.sandbox.population import DATA_ABSENT, US_CORE, Resource, Size
from include.sandbox.population.draw import Draw
from include.sandbox.population.ids import key_of, opaque_id
from include.sandbox.population.words import FAMILIES, GIVEN, PAYERS, PROGRAMS, STREETS, TOWNS

NPI = "http://hl7.org/fhir/sid/us-npi"


class Directory:
    """A short list of records, numbered from 0 without gaps."""

    kind: ClassVar[str]

    def __init__(self, size: Size, count: int) -> None:
        self.size, self.count = size, count

    def numbers(self) -> Iterable[int]:
        return range(self.count)

    def __len__(self) -> int:
        return self.count

    def id(self, key: int) -> str:
        return opaque_id(self.size.seed, self.kind, key)

    def reference(self, key: int) -> str:
        return f"{self.kind}/{self.id(key)}"

    def key_of(self, ecw_id: str) -> int | None:
        key = key_of(self.size.seed, self.kind, ecw_id)
        return key if key is not None and key < self.count else None

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        return None

    def draw(self, key: int) -> Draw:
        return Draw(self.size.seed, self.kind, key)

    def head(self, key: int, draw: Draw) -> Resource:
        return {
            "resourceType": self.kind,
            "id": self.id(key),
            "meta": {
                "lastUpdated": draw.changed(self.size.zone),
                "profile": [f"{US_CORE}/us-core-{self.kind.lower()}"],
            },
        }


class Practitioners(Directory):
    kind = "Practitioner"

    def names(self, draw: Draw) -> tuple[str, str, str]:
        gender = draw.pick(("female", "male"))
        return gender, draw.pick(FAMILIES), draw.pick(GIVEN[gender])

    def display(self, key: int) -> str:
        draw = self.draw(key)
        draw.changed(self.size.zone)
        _, family, given = self.names(draw)
        return f"{family}, {given}"

    def resource(self, key: int) -> Resource:
        draw = self.draw(key)
        resource = self.head(key, draw)
        gender, family, given = self.names(draw)
        name: Resource = {"use": "usual", "text": f"{family} {given}", "family": family, "given": [given]}
        if key % 5 == 3:  # seen in recordings: a practitioner with only a name
            return {**resource, "name": [name]}
        town, state, postal, area = draw.pick(TOWNS)
        return {
            **resource,
            "identifier": [{"use": "usual", "system": NPI, "value": npi(draw.below(10**8))}],
            "active": key % 11 != 7,
            "name": [{**name, "prefix": [draw.pick(("Dr.", "LCSW", "NP"))]}],
            "telecom": [
                {"system": "phone", "value": f"{area}555{draw.below(10_000):04}", "use": "work"},
                {"system": "email", "value": f"{given}.{family}@practice.example.com".lower()},
            ],
            "address": [
                {
                    "use": "work",
                    "line": [f"{1 + draw.below(900)} {draw.pick(STREETS)}"],
                    "city": town,
                    "state": state,
                    "postalCode": postal,
                    "country": "US",
                }
            ],
            "gender": gender,
        }


class Locations(Directory):
    kind = "Location"

    def names(self, key: int, draw: Draw) -> tuple[str, tuple[str, str, str, str]]:
        town = draw.pick(TOWNS)
        return f"{town[0]} {PROGRAMS[key % len(PROGRAMS)]} {key + 1}", town

    def display(self, key: int) -> str:
        draw = self.draw(key)
        draw.changed(self.size.zone)
        return self.names(key, draw)[0]

    def resource(self, key: int) -> Resource:
        draw = self.draw(key)
        resource = self.head(key, draw)
        name, (town, state, postal, area) = self.names(key, draw)
        resource |= {
            "status": "inactive" if key % 9 == 5 else "active",
            "name": name,
            "mode": "instance",
            "telecom": [
                {"system": "phone", "_value": DATA_ABSENT, "use": "work"}
                if key % 4 == 2
                else {"system": "phone", "value": f"{area}555{draw.below(10_000):04}", "use": "work"}
            ],
            "address": {
                "line": [f"{1 + draw.below(900)} {draw.pick(STREETS)}"],
                "city": town,
                "state": state,
                "postalCode": postal,
                "country": "US",
            },
            "managingOrganization": {"reference": f"Organization/{opaque_id(self.size.seed, 'Organization', 0)}"},
        }
        if key % 6 == 4:  # seen in recordings: a location without address
            del resource["address"]
        return resource


class Organizations(Directory):
    """Number 0 is the practice itself, the rest are payers."""

    kind = "Organization"

    def __init__(self, size: Size) -> None:
        super().__init__(size, 1 + len(PAYERS))

    def name(self, key: int) -> str:
        return PAYERS[key - 1] if key else "Harbor Behavioral Health"

    def resource(self, key: int) -> Resource:
        draw = self.draw(key)
        resource = self.head(key, draw)
        del resource["meta"]["lastUpdated"]  # eCW's Organization has none
        code, display = ("pay", "Payer") if key else ("prov", "Healthcare Provider")
        system = "http://terminology.hl7.org/CodeSystem/organization-type"
        town, state, postal, area = draw.pick(TOWNS)
        return {
            **resource,
            "active": True,
            "type": [{"coding": [{"system": system, "code": code, "display": display}], "text": display}],
            "name": self.name(key),
            "telecom": [{"system": "phone", "value": f"{area}555{draw.below(10_000):04}"}],
            "address": [{"city": town, "state": state, "postalCode": postal, "country": "US"}],
        }


class Groups(Directory):
    """Number 0 is every patient of the practice, number 1 a registry of one patient in three."""

    kind = "Group"

    def __init__(self, size: Size) -> None:
        super().__init__(size, 2)

    def resource(self, key: int) -> Resource:
        resource = self.head(key, self.draw(key))
        del resource["meta"]["profile"]
        value: dict[str, Any] = {"value": f"{5200 + key}"}
        return {
            **resource,
            "identifier": [{"use": "usual", "system": "urn:ecw:registry", **value}],
            "active": True,
            "type": "person",
            "actual": True,
            "name": ("All patients", "Program alumni")[key],
        }


def npi(number: int) -> str:
    """Return a National Provider Identifier with its check digit: Luhn over 80840 and nine digits."""
    digits = f"1{number % 10**8:08}"
    total = 24 + sum(
        sum(divmod(2 * int(digit), 10)) if place % 2 == 0 else int(digit) for place, digit in enumerate(digits)
    )
    return f"{digits}{-total % 10}"
