"""What is synchronised, one row each.

A new resource is one row here, a mapping in include/mappings/, a suite in include/quality/ and its golden
pairs in tests/mappings/: docs/how-to/add-a-resource.md has every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ecw.errors import ConfigurationError


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
        # Practitioners also directly: a run may not be about patients, and a schedule needs practitioners.
        Resource(
            "encounter",
            "Encounter",
            ("last_updated", "schedule", "per_patient", "bulk"),
            needs=("practitioner", "patient"),
        ),
    )
}

# The patient, and what refers to one: what a run about single patients pulls, and what is erased with a patient.
OF_PATIENTS = tuple(row.name for row in RESOURCES.values() if row.name == "patient" or "patient" in row.needs)


def resource(name: str) -> Resource:
    """Return the resource of that name.

    Raises ConfigurationError for a name that is not in the table.
    """
    try:
        return RESOURCES[name]
    except KeyError:
        near = get_close_matches(name, RESOURCES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(RESOURCES)}."
        raise ConfigurationError(f"There is no resource {name!r}.", next_step=hint) from None


# Which way each travels, and why some cannot be pushed: for the form, the command and mapping files.
PUSHED = "patient"


@dataclass(frozen=True, slots=True)
class NoPush:
    """Why eCW does not take a resource from outside, and what can be done instead."""

    why: str
    instead: str


_DIRECTORY = "eCW's API declares only reading of its directory"
NOT_PUSHED = {
    "practitioner": NoPush(_DIRECTORY, "keep practitioners in eCW; the pull brings them."),
    "location": NoPush(_DIRECTORY, "keep locations in eCW; the crosswalk `location` names them in the CRM's words."),
    "insurance": NoPush(
        "eCW grants system/Coverage.r alone: its API reads insurance and takes none",
        "enter the policy in eCW; the next pull brings it into the CRM and opens the VOB request.",
    ),
    "encounter": NoPush(
        "eCW's write API takes patients only: visits and appointments are made in eCW",
        "book the visit in eCW; the next pull brings it.",
    ),
    "pre-assessment": NoPush(
        "eCW has no resource for it, so it travels neither way",
        "keep it in the CRM, and attach it to the patient's chart in eCW by hand.",
    ),
}
_SPELLED = {
    "coverage": "insurance",
    "policy": "insurance",
    "appointment": "encounter",
    "preassessment": "pre-assessment",
    "pre_assessment": "pre-assessment",
    "pre assessment": "pre-assessment",
}


def no_push(name: str) -> NoPush | None:
    """Return why a resource, named by our word or by its FHIR type, is not pushed; None where it is, or is unknown."""
    word = name.strip().lower()
    return NOT_PUSHED.get(_SPELLED.get(word, word))


def require_pushed(name: str) -> str:
    """Return the name of a resource that is pushed.

    Raises ConfigurationError with the reason, and with what is possible instead.
    """
    if name.strip().lower() in ("", PUSHED, "patients"):
        return PUSHED
    if reason := no_push(name):
        raise ConfigurationError(f"{name} cannot be pushed: {reason.why}.", next_step=reason.instead)
    raise ConfigurationError(
        f"There is no resource {name!r}.", next_step=f"push {PUSHED}; nothing else travels from the CRM to eCW."
    )
