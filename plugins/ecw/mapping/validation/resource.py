"""Return True if a resource is FHIR at all, by the models of fhir.resources (R4B; for the five resources the same as
R4).

A record that is new or changed is checked when it enters. `quick` passes those of eCW at some 25,000 a second; the
models themselves, which alone tell what is wrong, are asked about the rest and take 1.5 ms a record or less.
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

# pydantic's error types in words; one that is not here is reported as it is.
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
    """Return a problem for each element that is not FHIR: its path and the rule, never its value.

    What FHIR does not have is not named either: whoever writes its name may write anything.
    """
    return [] if accepts(resource) else in_full(resource)


def judge(resource: dict[str, Any], elements: frozenset[str]) -> tuple[list[Problem], list[Problem]]:
    """Return what keeps a resource out, and what is wrong in elements that nobody maps, or can be read all the same.

    `elements` are those that a mapping reads (Mapper.elements).
    """
    if accepts(resource):
        return [], []
    found, spared = in_full(resource), list[Problem]()
    if found and (repaired := _with_offsets(resource)) != resource:
        left = not_fhir(repaired)
        if len(left) < len(found):
            spared.append(Problem(None, "time without offset", "times without an offset are taken for the practice's"))
            found = left
    if found and "contained" in resource:
        left = not_fhir({key: value for key, value in resource.items() if key != "contained"})
        if len(left) < len(found):
            spared.append(Problem(None, "not FHIR", f"{resource.get('resourceType')}.contained: is not FHIR"))
            found = left
    wrong = [problem for problem in found if _concerns(problem, resource, elements)]
    return wrong, [*spared, *(problem for problem in found if problem not in wrong)]


_NO_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?\Z")
_PART = re.compile(r"_?(\w+)(?:\[(\d+)\])?")


def _with_offsets(value: Any) -> Any:
    """Return a copy in which every time has an offset, for the models, which want one."""
    if isinstance(value, dict):
        return {key: _with_offsets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_offsets(inner) for inner in value]
    if isinstance(value, str) and (found := _NO_OFFSET.match(value)):
        return f"{value}{'' if found[1] else ':00'}Z"
    return value


def _concerns(problem: Problem, resource: dict[str, Any], elements: frozenset[str]) -> bool:
    """Return True if a problem lies in, or above, something that the mapping reads."""
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
    """Return the same, by the models alone."""
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
