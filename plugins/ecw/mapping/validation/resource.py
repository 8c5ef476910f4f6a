"""Check that a resource is valid FHIR, with the models of fhir.resources (R4B; the five resources are the same in R4).

New and changed records are checked before they are loaded. `fast.accepts` passes about 25,000 valid records a second.
Only the models name the problems; they check the other records, in 1.5 ms a record or less.
https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ecw.mapping.transform.to_row import Problem
from ecw.mapping.validation.fast import accepts

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# Texts for pydantic's error types; other types are reported by their name.
RULES = {
    "value_error": "has no value that its type allows",
    "string_pattern_mismatch": "is empty or has characters that its type does not allow",
    "string_type": "is not a text",
    "list_type": "is not a list",
    "bool_parsing": "is neither true nor false",
    "extra_forbidden": "has an element that FHIR does not have",
    "missing": "is missing",
    "model_field_validation.missing": "is missing",
    "date_from_datetime_parsing": "is not a day of the calendar",
}


def not_fhir(resource: dict[str, Any]) -> list[Problem]:
    """Return a problem for each element that is not valid FHIR: its path and the rule, never its value.

    An element that FHIR does not define is not named, because its name can be any text.
    """
    return [] if accepts(resource) else in_full(resource)


def judge(resource: dict[str, Any], elements: frozenset[str]) -> tuple[list[Problem], list[Problem]]:
    """Return the problems that reject a resource, and the problems that do not.

    A problem rejects the resource only if it is in one of `elements`, those that the mapping reads (Mapper.elements),
    and the value cannot be read in spite of it.
    """
    if accepts(resource):
        return [], []
    found, tolerated = in_full(resource), list[Problem]()
    if found and (repaired := _with_offsets(resource)) != resource:
        left = not_fhir(repaired)
        if len(left) < len(found):
            tolerated.append(
                Problem(None, "time without offset", "times without an offset are read in the practice's time zone")
            )
            found = left
    if found and "contained" in resource:
        left = not_fhir({key: value for key, value in resource.items() if key != "contained"})
        if len(left) < len(found):
            tolerated.append(Problem(None, "not FHIR", f"{resource.get('resourceType')}.contained: is not FHIR"))
            found = left
    wrong = [problem for problem in found if _concerns(problem, resource, elements)]
    return wrong, [*tolerated, *(problem for problem in found if problem not in wrong)]


_NO_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?\Z")
_PART = re.compile(r"_?(\w+)(?:\[(\d+)\])?")


def _with_offsets(value: Any) -> Any:
    """Return a copy in which every time has an offset, which the models require."""
    if isinstance(value, dict):
        return {key: _with_offsets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_offsets(inner) for inner in value]
    if isinstance(value, str) and (found := _NO_OFFSET.match(value)):
        return f"{value}{'' if found[1] else ':00'}Z"
    return value


def _concerns(problem: Problem, resource: dict[str, Any], elements: frozenset[str]) -> bool:
    """Return True if a problem is in, or above, an element that the mapping reads."""
    if problem.reason.endswith(RULES["extra_forbidden"]):
        return False
    parts = list(_parts(problem.reason.partition(": ")[0]))[1:]
    if not parts:
        return True
    name, at = parts[0]
    if name == "extension" and at is not None:
        extension = resource["extension"][at]
        return isinstance(extension, dict) and extension.get("url") in elements
    path = ".".join(name for name, _ in parts)
    return any(f"{element}.".startswith(f"{path}.") or path.startswith(f"{element}.") for element in elements)


def _parts(place: str) -> Iterator[tuple[str, int | None]]:
    for part in place.split("."):
        if found := _PART.match(part):
            yield found[1], None if found[2] is None else int(found[2])


def in_full(resource: dict[str, Any]) -> list[Problem]:
    """Return the same as `not_fhir`, always by the models."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    name = str(resource.get("resourceType"))
    try:
        model = get_fhir_model_class(name)
    except ValueError:
        return [Problem(None, "not FHIR", "resourceType: not a resource type")]
    try:
        model.model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return [
            Problem(None, "not FHIR", f"{_place(name, _known(item))}: {RULES.get(item['type'], item['type'])}")
            for item in found
        ]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        # The models raise such errors for contained resources of unknown types.
        return [Problem(None, "not FHIR", f"{name}: a resource inside it, or its shape, is unknown to FHIR")]
    return []


def _known(item: ErrorDetails) -> tuple[int | str, ...]:
    return item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]


def _place(root: str, location: tuple[int | str, ...]) -> str:
    text = root
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text
