"""The records that a record is linked with (https://hl7.org/fhir/R4/patient.html, link)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def others(resource: Mapping[str, Any], link_type: str) -> Iterator[Mapping[str, Any]]:
    """Yield the `other` of each link of a type (`replaces`, `replaced-by`); links of another shape are skipped."""
    links = resource.get("link")
    for link in links if isinstance(links, list) else []:
        other = link.get("other") if isinstance(link, Mapping) and link.get("type") == link_type else None
        if isinstance(other, Mapping):
            yield other
