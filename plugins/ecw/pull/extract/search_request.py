"""One search of an extraction, or one read, and what proves that the server heeded it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecw.mapping.values.references import record_of

Holds = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search with all its pages, or one read; the key tells it from the others when a killed task continues."""

    key: str
    params: Mapping[str, str | list[str]]
    ecw_id: str | None = None  # set: a read of this record
    holds: Holds | None = None  # proof: what every record of the answer must be, if the server did filter
    page: Callable[[Sequence[Mapping[str, Any]]], None] | None = None  # who else looks at every page
    optional: bool = False  # a server that refuses this search loses nothing but it
    sought: str | None = None  # the record that every record of the answer should name, as FhirType/id

    def proves_ignored(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record of the answer proves that the server ignored the filter.

        One that names no record of the kind that was sought proves nothing: it is its own reject, or an empty column.
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
    """Return every record that a resource refers to, as FhirType/id, whatever version or base its reference has."""
    if isinstance(value, Mapping):
        own = value.get("reference")
        record = record_of(own)
        found = {record} if record else set()
        return found.union(*(referenced(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(referenced(inner) for inner in value))
    return set()
