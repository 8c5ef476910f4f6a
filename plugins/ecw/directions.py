"""Which way each resource travels, and why some cannot be pushed: asked by the form, the command and mapping files."""

from __future__ import annotations

from dataclasses import dataclass

from ecw.errors import ConfigurationWrong

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

    Raises ConfigurationWrong with the reason, and with what is possible instead.
    """
    if name.strip().lower() in ("", PUSHED, "patients"):
        return PUSHED
    if reason := no_push(name):
        raise ConfigurationWrong(f"{name} cannot be pushed: {reason.why}.", next_move=reason.instead)
    raise ConfigurationWrong(
        f"There is no resource {name!r}.", next_move=f"push {PUSHED}; nothing else travels from the CRM to eCW."
    )
