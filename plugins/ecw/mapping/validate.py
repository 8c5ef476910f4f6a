"""Say whether a resource is FHIR at all, by the models of fhir.resources (R4B; for the five resources the same as R4).

A record that is new or changed is looked at when it enters: 600 a second, where mapping does thousands.
https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from typing import Any

from ecw.mapping.compile import Problem

# What the models refuse and FHIR, or eCW, does not: by error type and the last part of its place.
FORGIVEN: frozenset[tuple[str, str]] = frozenset()


def not_fhir(resource: dict[str, Any]) -> list[Problem]:
    """Return a problem for each element that is not FHIR: its path and the rule, never its value."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        model = get_fhir_model_class(str(resource.get("resourceType")))
    except (KeyError, LookupError):
        return [Problem(None, "not FHIR", "resourceType: there is no such resource")]
    try:
        model.model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return [Problem(None, "not FHIR", f"{_place(model.__name__, item['loc'])}: {item['type']}") for item in found]
    return []


def _place(root: str, location: tuple[int | str, ...]) -> str:
    text = root
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text
