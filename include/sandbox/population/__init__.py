"""The records of one practice: every one is a function of the seed and its number, so that none needs to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol
from zoneinfo import ZoneInfo

Resource = dict[str, Any]

OID = "urn:oid:2.16.840.1.113883.4.391.326070"  # the one system of both patient identifiers
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
DATA_ABSENT = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}


class Source(Protocol):
    """All records of one type, by number. Numbers are not dense: a patient's encounters start at 16 times his own."""

    def numbers(self) -> Iterable[int]:
        """Return the numbers in the order of a list search."""

    def __len__(self) -> int: ...

    def key_of(self, ecw_id: str) -> int | None:
        """Return the number of an id, None when no record has it."""

    def resource(self, key: int) -> Resource:
        """Return the record as a new dict."""

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        """Return numbers among which all matches are, None when there is nothing quicker than all of them."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each, and the day that parts finished from planned encounters."""

    patients: int
    practitioners: int
    locations: int
    seed: int
    zone: ZoneInfo
    today: date
