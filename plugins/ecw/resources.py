"""The resources that are synchronised, one row each.

A new resource needs one row here, a mapping in include/mappings/, a suite in include/quality/ and its golden
pairs in tests/mappings/: docs/how-to/add-a-resource.md has every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ecw.did_you_mean import did_you_mean
from ecw.errors import ConfigurationError


class StrategyName(StrEnum):
    """The name of a strategy of extraction; ecw.pull.extract.strategies has the strategies."""

    LAST_UPDATED = "last_updated"
    LIST = "list"
    NAME_SWEEP = "name_sweep"
    PER_PATIENT = "per_patient"
    SCHEDULE = "schedule"
    BULK = "bulk"
    BY_ID = "by_id"
    OF_SCHEDULE = "of_schedule"


@dataclass(frozen=True, slots=True)
class Resource:
    """One FHIR type that is synchronised, and the resources that must be loaded before it."""

    name: str  # used in tasks, tables, files and pages
    fhir_type: str
    strategies: tuple[StrategyName, ...]  # the possible strategies, the best first
    needs: tuple[str, ...] = ()


RESOURCES = {
    resource.name: resource
    for resource in (
        Resource(
            "practitioner",
            "Practitioner",
            (StrategyName.LAST_UPDATED, StrategyName.LIST, StrategyName.NAME_SWEEP, StrategyName.BULK),
        ),
        Resource(
            "location",
            "Location",
            (StrategyName.LAST_UPDATED, StrategyName.LIST, StrategyName.NAME_SWEEP, StrategyName.BULK),
        ),
        Resource(
            "patient",
            "Patient",
            (StrategyName.LAST_UPDATED, StrategyName.NAME_SWEEP, StrategyName.BULK),
            needs=("practitioner", "location"),
        ),
        Resource(
            "insurance",
            "Coverage",
            (StrategyName.LAST_UPDATED, StrategyName.PER_PATIENT, StrategyName.BULK),
            needs=("patient",),
        ),
        # Practitioner also directly: a run without patients needs it, too, because `schedule` searches by practitioner.
        Resource(
            "encounter",
            "Encounter",
            (StrategyName.LAST_UPDATED, StrategyName.SCHEDULE, StrategyName.PER_PATIENT, StrategyName.BULK),
            needs=("practitioner", "patient"),
        ),
    )
}

# The patient, and the resources that refer to it: a run for single patients pulls them, `ecw forget` deletes them.
OF_PATIENTS = tuple(row.name for row in RESOURCES.values() if row.name == "patient" or "patient" in row.needs)


def resource(name: str) -> Resource:
    """Return the resource of that name.

    Raises ConfigurationError for a name that is not in the table.
    """
    try:
        return RESOURCES[name]
    except KeyError:
        raise ConfigurationError(f"There is no resource {name!r}.", next_step=did_you_mean(name, RESOURCES)) from None


# The resource that is pushed, and the reasons why the others are not: for the form, the command and mapping files.
PUSHED = "patient"


@dataclass(frozen=True, slots=True)
class NoPush:
    """The reason why a resource cannot be pushed, and the alternative."""

    why: str
    instead: str


_DIRECTORY = "eCW's API declares only reading of its directory"
NOT_PUSHED = {
    "practitioner": NoPush(_DIRECTORY, "keep practitioners in eCW; the pull loads them."),
    "location": NoPush(
        _DIRECTORY, "keep locations in eCW; the crosswalk `location` translates them to the CRM's names."
    ),
    "insurance": NoPush(
        "eCW grants only system/Coverage.r: its API can read insurance and not write it",
        "enter the policy in eCW; the next pull loads it into the CRM and opens the VOB request.",
    ),
    "encounter": NoPush(
        "eCW's write API accepts only patients: visits and appointments are made in eCW",
        "book the visit in eCW; the next pull loads it.",
    ),
    "pre-assessment": NoPush(
        "eCW has no resource for it, so it is neither pulled nor pushed",
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
    """Return the reason why a resource, given by its name or FHIR type, is not pushed; None if it is, or is unknown."""
    word = name.strip().lower()
    return NOT_PUSHED.get(_SPELLED.get(word, word))


def require_pushed(name: str) -> str:
    """Return the name of a resource that is pushed.

    Raises ConfigurationError with the reason and the alternative.
    """
    if name.strip().lower() in ("", PUSHED, "patients"):
        return PUSHED
    if reason := no_push(name):
        raise ConfigurationError(f"{name} cannot be pushed: {reason.why}.", next_step=reason.instead)
    raise ConfigurationError(
        f"There is no resource {name!r}.", next_step=f"push {PUSHED}; nothing else is sent from the CRM to eCW."
    )
