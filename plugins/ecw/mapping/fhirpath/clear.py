"""Take a value away: with it goes what was there for its sake alone, and what counts its neighbours stays right."""

from __future__ import annotations

from typing import Any

from ecw.mapping.fhirpath import companions
from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.fhirpath.current import NONE
from ecw.mapping.fhirpath.find import Slot, slot_of
from ecw.mapping.fhirpath.paths import Current, Equals, Extension, Member, Path, Where, first_branches
from ecw.mapping.fhirpath.read import read_value

UNKNOWN = "unknown"  # why a value is absent, where nobody says more
# What the profile demands of an element: without it the element goes. https://hl7.org/fhir/us/core/STU3.1.1/
DEMANDED = frozenset(
    {
        *(("telecom", "value"), ("telecom", "system"), ("identifier", "value"), ("identifier", "system")),
        ("communication", "language"),
    }
)


def clear(resource: dict[str, Any], path: Path) -> None:
    """Take away the value that the path reads, in place, and what was there for its sake alone.

    The items after it in a list keep their places: a gap says in FHIR's way that its value is absent (R4, 2.6.2: a null
    and its extension). Otherwise they would move up, and a path that counts would read them in its place. An element
    goes where no sibling, before or after it, would be read in its place; else it says that its value is absent.
    """
    if (slot := slot_of(resource, path)) is not None:
        take_away(resource, slot, path)


def take_away(resource: dict[str, Any], found: Slot, path: Path, *, gaps: bool = True) -> None:
    """Take away what a slot of the path holds, and what was there for its sake alone; without `gaps` others move up."""
    slot: Slot | None = found
    taken: tuple[str, Any] | None = None  # the member that was taken out last, and what it had been
    value = found.value
    while slot is not None:
        if isinstance(slot.holder, list):
            # A plain item is counted from the first; of elements, those before it can be read for it, too.
            others = slot.holder[slot.key + 1 :] + (slot.holder[: slot.key] if taken else [])
            if gaps and any(item is not None for item in others) and _left_gap(resource, path, slot, taken):
                return
            slot.holder.pop(slot.key)
            _drop_companion(slot)
            _drop_gaps(slot)
        else:
            slot.holder.pop(slot.key, None)
            companions.agree(slot.holder, slot.key, None, slot.above)
            taken = (slot.key, value)
        empty = not slot.holder or _only_labels(slot.holder, path) or _demanded(slot)
        if not empty and gaps and slot.above and _held(resource, path, slot.above, taken):
            return
        value = [value] if isinstance(slot.holder, list) else {}
        slot = slot.above if empty and slot.above and slot.above.above else None


def _only_labels(holder: Any, path: Path) -> bool:
    """Return True if an element holds nothing but what the path itself labels it with."""
    if not isinstance(holder, dict):
        return False
    labels = {"url"} if any(isinstance(step, Extension) for step in path) else set()
    labels |= {"use"} if any(isinstance(step, Current) and step.uses for step in path) else set()
    for step in first_branches(path):
        for test in step.tests if isinstance(step, Where) else ():
            if isinstance(test, Equals) and isinstance(test.path[0], Member):
                labels.add(test.path[0].name)
    return set(holder) <= labels


def _demanded(slot: Slot) -> bool:
    """Return True if the element cannot stay without the member that was taken away."""
    item = slot.above
    if item is None or not isinstance(item.holder, list) or item.above is None:
        return False
    return (item.above.key, slot.key) in DEMANDED


def _left_gap(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any] | None) -> bool:
    """Leave a gap in the place of an item where that keeps the others in theirs; return False where it need not."""
    if taken is None:
        _leave_gap(slot, taken)
        return True
    items = list(slot.holder)
    slot.holder.pop(slot.key)
    another = not _is_nothing(read_value(path, resource))
    slot.holder[:] = items
    return another and _leave_gap_that_holds(resource, path, slot, taken)


def _held(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any] | None) -> bool:
    """Leave a gap in an element that stays where another would be read for it; return False where it need not."""
    if taken is None or not any(isinstance(step, Current) for step in path):
        return False
    if not isinstance(slot.holder, list) or _is_nothing(read_value(path, resource)):
        return False
    return _leave_gap_that_holds(resource, path, slot, taken)


def _leave_gap_that_holds(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any]) -> bool:
    """Leave the gap with which the path reads nothing: `unknown`, as US Core wants it, else that there is none."""
    element = dict(slot.value)
    for reason in (UNKNOWN, NONE):
        _leave_gap(slot, taken, reason)
        if _is_nothing(read_value(path, resource)):
            return True
        slot.holder[slot.key] = dict(element)
    return False


def _is_nothing(value: Any) -> bool:
    return value is None or value in (_absent(), _absent(NONE))


def _leave_gap(slot: Slot, taken: tuple[str, Any] | None, reason: str = UNKNOWN) -> None:
    """Say of an item of a list that its value is absent, in its place: of a plain one itself, else of the member."""
    if taken is not None:
        name, had = taken
        if isinstance(had, dict):
            slot.value[name] = _absent(reason)
        elif isinstance(had, list) and isinstance(had[0], dict):
            slot.value[name] = [_absent(reason)]
        elif isinstance(had, list):
            slot.value.update({name: [None], f"_{name}": [_absent(reason)]})
        else:
            slot.value[f"_{name}"] = _absent(reason)
        return
    slot.holder[slot.key] = None
    if slot.above is None:
        return
    companions = slot.above.holder.get(f"_{slot.above.key}")
    companions = companions if isinstance(companions, list) else []
    companions += [None] * (len(slot.holder) - len(companions))
    companions[slot.key] = _absent()
    slot.above.holder[f"_{slot.above.key}"] = companions


def _absent(reason: str = UNKNOWN) -> dict[str, Any]:
    return {"extension": [{"url": ABSENT, "valueCode": reason}]}


def _drop_gaps(slot: Slot) -> None:
    """Drop the gaps at a list's end: nothing comes after them."""
    above = slot.above
    while above is not None and slot.holder and slot.holder[-1] is None:
        companions = above.holder.get(f"_{above.key}")
        at = len(slot.holder) - 1
        if not isinstance(companions, list) or at >= len(companions) or companions[at] != _absent():
            return
        slot.holder.pop()
        companions.pop()
        if not any(companions):
            del above.holder[f"_{above.key}"]


def _drop_companion(slot: Slot) -> None:
    """Keep `_given` in step with `given` when an item of it goes."""
    above = slot.above
    companions = above.holder.get(f"_{above.key}") if above and isinstance(above.holder, dict) else None
    if isinstance(companions, list) and slot.key < len(companions):
        companions.pop(slot.key)
        if above and not any(companions):
            del above.holder[f"_{above.key}"]
