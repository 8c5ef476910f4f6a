"""Explain a column's value: the element that was selected, and why its siblings were not.

Reasons name places and rules, never values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.definition.overlap import branches
from ecw.mapping.fhirpath.current import why_later, why_not
from ecw.mapping.fhirpath.find import Slot, find, location
from ecw.mapping.fhirpath.paths import Current, First, Index, Path, Where, show
from ecw.mapping.fhirpath.read import filler
from ecw.mapping.transform.concepts import codings_of, meaning
from ecw.mapping.values.references import record_of

Json = dict[str, Any]


def taken(mapping: Mapping, column: Column, resource: Json) -> Slot | None:
    """Return the slot of the value that a column takes, or None."""
    paths = [column.steps, *([column.fallback.steps] if column.fallback else [])]
    slots = [slot for path in paths for slot in find(resource, path) if slot.value is not None]
    return next((slot for slot in slots if _refused(mapping, column, slot.value) is None), None)


def why(mapping: Mapping, column: Column, resource: Json) -> list[str]:
    """Return the reasons, in the order in which the path is read."""
    reasons: list[str] = []
    chosen = taken(mapping, column, resource)
    place = location(chosen) if chosen else None
    for branch in branches(column.steps):
        reasons += _siblings(branch, resource)
        ends = [slot for slot in find(resource, branch) if slot.value is not None]
        if not ends:
            reasons += [f"nothing at {show(branch)}"] if branch != column.steps else []
        for slot in ends:
            here = location(slot)
            reason = _refused(mapping, column, slot.value)
            if here == place:
                reasons.append(f"{here} is taken")
                reasons += _codings(mapping, column, slot)
            elif reason is not None:
                reasons.append(f"{here}: {reason}")
            elif place is not None and not column.several:
                reasons.append(f"{here}: it comes after the one that is taken")
        if place is not None and any(location(slot) == place for slot in ends) and not column.several:
            break
    if column.fallback and chosen and f"{place} is taken" not in reasons:
        reasons.append(f"{place} is used as fallback: the path finds nothing")
    # A single element without siblings needs no explanation.
    return [] if reasons == [f"{place} is taken"] else list(dict.fromkeys(reasons))


def _refused(mapping: Mapping, column: Column, value: Any) -> str | None:
    """Return the reason why the column cannot take a value that the path finds, or None."""
    if column.type == "reference":
        record = record_of(value, mapping.base_url)
        if record is None:
            return "it does not name a record as FhirType/id"
        if column.to and record.partition("/")[0] not in column.to:
            return f"it names no {' or '.join(column.to)}"
    return None


def _siblings(branch: Path, resource: Json) -> Iterator[str]:
    """Yield the reasons why each step left elements out."""
    for at, step in enumerate(branch):
        if not isinstance(step, Where | Current | First | Index):
            continue
        before, after = list(find(resource, branch[:at])), list(find(resource, branch[: at + 1]))
        left = {location(slot) for slot in after}
        for slot in before:
            here = location(slot)
            if here in left:
                if isinstance(step, Current) and len(before) > 1:
                    yield f"{here} is valid now"
            elif isinstance(step, Current):
                yield f"{here}: {_not_current(step, slot.value, after)}"
            elif isinstance(step, Where):
                yield f"{here}: it does not satisfy {step}"
            else:
                yield f"{here}: it is not {step}"


def _not_current(step: Current, element: Any, after: list[Slot]) -> str:
    reason = why_not(element, step.uses)
    if reason is None and after:
        reason = why_later(element, after[0].value, step.uses, filler(step.needs))
    return reason or "it is not valid now"


def _codings(mapping: Mapping, column: Column, slot: Slot) -> Iterator[str]:
    """Yield the coding of a concept that gave the value, and the reasons why the others did not."""
    if not column.concept or column.crosswalk is None or not isinstance(slot.value, dict):
        return
    crosswalk, place = mapping.crosswalks[column.crosswalk], location(slot)
    value, found = meaning(crosswalk, slot.value), False
    if "coding" in slot.value:
        for coding in codings_of(slot.value):
            at = f"{place}.coding[{next(n for n, one in enumerate(slot.value['coding']) if one is coding)}]"
            if crosswalk.value_of(coding) is None:
                yield f"{at}: the crosswalk {crosswalk.name} does not have its code in its system"
            elif found:
                yield f"{at}: another coding was taken before it"
            else:
                found = True
                yield f"{at} is the coding that is taken"
    if value is not None and not found and "coding" in slot.value:
        yield f"{place}: its text or display gave the value"
