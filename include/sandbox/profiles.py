"""Which search parameters each type declares, and which combinations of them are answered.

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
# Sorted names, `page` aside. `date` twice is a range.
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
GENERAL = ("_lastUpdated", "_count")  # what the fhir profile declares for every type


def declared(kind: str, settings: Settings) -> tuple[str, ...]:
    """Return the parameters that /metadata tells for this type."""
    names = DECLARED[kind]
    if settings.profile == "fhir":
        names = tuple(dict.fromkeys((*names, "page", *GENERAL)))
    gone = settings.listed("undeclared")
    return tuple(name for name in names if f"{kind}.{name}" not in gone)


def refusal(kind: str, pairs: Sequence[tuple[str, str]], settings: Settings) -> str | None:
    """Return eCW's text for parameters that it does not take, None for a search that it answers."""
    names = [name for name, _ in pairs]
    unknown = sorted(set(names) - set(declared(kind, settings)))
    if unknown:
        return f"Unsupported query parameter(s): {', '.join(unknown)}. These parameters are not allowed."
    asked = tuple(sorted(name for name in names if name != "page"))
    if asked not in COMBINATIONS[kind] or not _is_range([value for name, value in pairs if name == "date"]):
        shown = ", ".join(sorted(set(names)))
        return f"Invalid request: Does not know how to handle get operation with parameter [{shown}]"
    return None


def _is_range(dates: list[str]) -> bool:
    return not dates or sorted(value[:2] for value in dates) == ["ge", "lt"]
