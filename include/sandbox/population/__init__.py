"""The records of one practice. Each is a function of the seed and its number, so none needs to be stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol
from zoneinfo import ZoneInfo

Resource = dict[str, Any]

OID = "urn:oid:2.16.840.1.113883.4.391.326070"  # the system of both patient identifiers
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
DATA_ABSENT = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}


class Source(Protocol):
    """All records of one type, by number. Numbers have gaps: a patient's encounters start at 16 times the patient's."""

    def numbers(self) -> Iterable[int]:
        """Return the numbers in the order of a list search."""

    def __len__(self) -> int: ...

    def key_of(self, ecw_id: str) -> int | None:
        """Return the number of an id, None if no record has it."""

    def resource(self, key: int) -> Resource:
        """Return the record as a new dict."""

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        """Return numbers that include all matches, None if there is no index for these parameters."""


@dataclass(frozen=True, slots=True)
class Size:
    """Record counts, the seed, the time zone, and the day that separates past from planned encounters."""

    patients: int
    practitioners: int
    locations: int
    seed: int
    zone: ZoneInfo
    today: date
