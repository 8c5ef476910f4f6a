"""The search parameters that each type declares, and the combinations that are accepted.

Source: eCW's published CapabilityStatement and the combinations that its clients are known to use.
"""

from __future__ import annotations

from collections.abc import Sequence

from include.sandbox.settings import Settings

DECLARED = {
    "Practitioner": ("_id", "identifier", "name", "page"),
    "Location": ("_id", "address", "name", "page"),
    "Patient": ("_id", "birthdate", "family", "gender", "given", "identifier", "name", "page", "phone"),
    "Coverage": ("_id", "patient"),
    "Encounter": ("_id", "date", "location", "page", "patient", "practitioner"),
    "Organization": ("_id", "address", "name", "type", "page"),
    "Group": ("page",),
}
# Sorted names without `page`. `date` twice is a range.
COMBINATIONS: dict[str, frozenset[tuple[str, ...]]] = {
    "Practitioner": frozenset({(), ("_id",), ("identifier",), ("name",)}),
    "Location": frozenset({(), ("_id",), ("address",), ("name",)}),
    "Patient": frozenset(
        {
            ("_id",),
            ("identifier",),
            ("name",),
            ("birthdate", "family", "given"),
            ("birthdate", "name"),
            ("birthdate", "phone"),
        }
    ),
    "Coverage": frozenset({("_id",), ("patient",)}),
    "Encounter": frozenset({("_id",), ("patient",), ("date", "date", "practitioner")}),
    "Organization": frozenset({("_id",), ("address",), ("name",), ("type",)}),
    "Group": frozenset({()}),
}
READ_BY_PATH = ("Practitioner", "Location", "Patient", "Coverage", "Encounter", "Organization")
GENERAL = ("_lastUpdated", "_count")  # parameters that the fhir profile declares for every type


def declared(kind: str, settings: Settings) -> tuple[str, ...]:
    """Return the parameters that /metadata declares for this type."""
    names = DECLARED[kind]
    if settings.profile == "fhir":
        names = tuple(dict.fromkeys((*names, "page", *GENERAL)))
    undeclared = settings.listed("undeclared")
    return tuple(name for name in names if f"{kind}.{name}" not in undeclared)


def refusal(kind: str, pairs: Sequence[tuple[str, str]], settings: Settings) -> str | None:
    """Return eCW's error text for a combination of parameters, None if eCW accepts it."""
    names = [name for name, _ in pairs]
    unknown = sorted(set(names) - set(declared(kind, settings)))
    if unknown:
        return f"Unsupported query parameter(s): {', '.join(unknown)}. These parameters are not allowed."
    combination = tuple(sorted(name for name in names if name != "page"))
    if combination not in COMBINATIONS[kind] or not _is_range([value for name, value in pairs if name == "date"]):
        shown = ", ".join(sorted(set(names)))
        return f"Invalid request: Does not know how to handle get operation with parameter [{shown}]"
    return None


def _is_range(dates: list[str]) -> bool:
    return not dates or sorted(value[:2] for value in dates) == ["ge", "lt"]
