"""Say whether a resource is FHIR at all, by the models of fhir.resources (R4B; for the five resources the same as R4).

A record that is new or changed is looked at when it enters. `quick` passes those of eCW at some 25,000 a second; the
models themselves, which alone tell what is wrong, are asked about the rest and take 1.5 ms a record or less.
https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecw.mapping.compile import Problem
from ecw.mapping.quick import accepts

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# pydantic's error types in words; one that is not here is told as it is.
RULES = {
    "value_error": "has no value that its type allows",
    "string_pattern_mismatch": "is empty or has characters that its type does not allow",
    "string_type": "is not a text",
    "list_type": "is not a list",
    "bool_parsing": "is neither true nor false",
    "extra_forbidden": "has an element that FHIR does not have",
    "missing": "is missing",
    "model_field_validation.missing": "is missing",
    "date_from_datetime_parsing": "is no day of the calendar",
}


def not_fhir(resource: dict[str, Any]) -> list[Problem]:
    """Return a problem for each element that is not FHIR: its path and the rule, never its value.

    What FHIR does not have is not named either: whoever writes its name may write anything.
    """
    return [] if accepts(resource) else in_full(resource)


def in_full(resource: dict[str, Any]) -> list[Problem]:
    """Return the same, by the models alone."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    name = str(resource.get("resourceType"))
    try:
        model = get_fhir_model_class(name)
    except ValueError:
        return [Problem(None, "not FHIR", "resourceType: there is no such resource")]
    try:
        model.model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return [
            Problem(None, "not FHIR", f"{_place(name, _known(item))}: {RULES.get(item['type'], item['type'])}")
            for item in found
        ]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        # The models look up the types of contained resources without asking whether there are such.
        return [Problem(None, "not FHIR", f"{name}: a resource inside it, or its shape, is unknown to FHIR")]
    return []


def _known(item: ErrorDetails) -> tuple[int | str, ...]:
    return item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]


def _place(root: str, location: tuple[int | str, ...]) -> str:
    text = root
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text
