"""One search or read of an extraction, and the check that the server applied its filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecw.mapping.values.references import record_of

Holds = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search with all its pages, or one read; the key identifies it when a killed task continues."""

    key: str
    params: Mapping[str, str | list[str]]
    ecw_id: str | None = None  # set: a read of this record
    holds: Holds | None = None  # returns True for a record that fits the filter
    page: Callable[[Sequence[Mapping[str, Any]]], None] | None = None  # called with the records of every page
    optional: bool = False  # a refusal of this search does not fail the extraction
    sought: str | None = None  # the record that every record of the answer should refer to, as FhirType/id

    def proves_ignored(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record of the answer proves that the server ignored the filter.

        A record without any reference of that FHIR type proves nothing: it becomes a reject, or an empty column.
        """
        if self.holds is None or self.holds(record):
            return False
        kind = f"{self.sought}".partition("/")[0]
        return self.sought is None or any(each.startswith(f"{kind}/") for each in referenced(record))


def read(ecw_id: str) -> SearchRequest:
    """Return the read of one record."""
    return SearchRequest(f"id={ecw_id}", {}, ecw_id)


def of_patient(ecw_id: str) -> SearchRequest:
    """Return the search for the records of a patient."""
    sought = f"Patient/{ecw_id}"
    return SearchRequest(
        f"patient={ecw_id}", {"patient": ecw_id}, holds=lambda found: sought in referenced(found), sought=sought
    )


def of_practitioner(ecw_id: str, start: str, end: str) -> SearchRequest:
    """Return the search for the appointments of a practitioner between two dates, half open."""
    sought = f"Practitioner/{ecw_id}"
    return SearchRequest(
        f"practitioner={ecw_id} {start} {end}",
        {"practitioner": ecw_id, "date": [f"ge{start}", f"lt{end}"]},
        holds=lambda found: sought in referenced(found),
        sought=sought,
    )


def referenced(value: Any) -> set[str]:
    """Return every record that a resource refers to, as FhirType/id, without the version or base of the reference."""
    if isinstance(value, Mapping):
        record = record_of(value.get("reference"))
        records = {record} if record else set()
        return records.union(*(referenced(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(referenced(inner) for inner in value))
    return set()
