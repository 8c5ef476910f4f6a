"""What is synchronised, one row each.

A new resource is one row here, a mapping in include/mappings/, a suite in include/quality/ and its golden
pairs in tests/mappings/; the DAG, the tables and the pages follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ecw.errors import ConfigurationWrong


@dataclass(frozen=True, slots=True)
class Resource:
    """One FHIR type that is synchronised, and what must be loaded before it."""

    name: str  # the word in tasks, tables, files and pages
    fhir_type: str
    strategies: tuple[str, ...]  # how it can be extracted, the best first: rows of pull.strategies
    needs: tuple[str, ...] = ()


RESOURCES = {
    resource.name: resource
    for resource in (
        Resource("practitioner", "Practitioner", ("last_updated", "list", "name_sweep", "bulk")),
        Resource("location", "Location", ("last_updated", "list", "name_sweep", "bulk")),
        Resource("patient", "Patient", ("last_updated", "name_sweep", "bulk"), needs=("practitioner", "location")),
        Resource("insurance", "Coverage", ("last_updated", "per_patient", "bulk"), needs=("patient",)),
        # Practitioners also directly: a run may not be about patients, and a schedule goes by practitioners.
        Resource(
            "encounter",
            "Encounter",
            ("last_updated", "schedule", "per_patient", "bulk"),
            needs=("practitioner", "patient"),
        ),
    )
}


def resource(name: str) -> Resource:
    """Return the resource of that name.

    Raises ConfigurationWrong for a name that is not in the table.
    """
    try:
        return RESOURCES[name]
    except KeyError:
        near = get_close_matches(name, RESOURCES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(RESOURCES)}."
        raise ConfigurationWrong(f"There is no resource {name!r}.", next_move=hint) from None
