"""Remove a value, with the elements that only labelled it, and keep the positions of its siblings."""

from __future__ import annotations

from typing import Any

from ecw.mapping.fhirpath import companions
from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.fhirpath.current import NONE
from ecw.mapping.fhirpath.find import Slot, slot_of
from ecw.mapping.fhirpath.paths import Current, Equals, Extension, Member, Path, Where, first_branches
from ecw.mapping.fhirpath.read import read_value

UNKNOWN = "unknown"  # the data-absent-reason, if no other is known
# The members that US Core requires: an element without them is removed. https://hl7.org/fhir/us/core/STU3.1.1/
DEMANDED = frozenset(
    {
        *(("telecom", "value"), ("telecom", "system"), ("identifier", "value"), ("identifier", "system")),
        ("communication", "language"),
    }
)


def clear(resource: dict[str, Any], path: Path) -> None:
    """Remove the value that the path reads, in place, and the elements that only labelled it.

    Later items of a list keep their positions: a gap marks the value as absent, as FHIR does (R4, 2.6.2: a null with an
    extension). Without the gap they would move up, and a path with an index would read one of them instead. An element
    is removed if the path then reads no sibling instead; otherwise it stays, marked as absent.
    """
    if (slot := slot_of(resource, path)) is not None:
        take_away(resource, slot, path)


def take_away(resource: dict[str, Any], found: Slot, path: Path, *, gaps: bool = True) -> None:
    """Remove the value of one slot of the path, as `clear` does; without `gaps` later items move up."""
    slot: Slot | None = found
    taken: tuple[str, Any] | None = None  # the member that was removed last, and its old value
    value = found.value
    while slot is not None:
        if isinstance(slot.holder, list):
            # For a primitive only later items can be read instead of it; for an element, earlier ones, too.
            others = slot.holder[slot.key + 1 :] + (slot.holder[: slot.key] if taken else [])
            if gaps and any(item is not None for item in others) and _leave_needed_gap(resource, path, slot, taken):
                return
            slot.holder.pop(slot.key)
            _drop_companion(slot)
            _drop_gaps(slot)
        else:
            slot.holder.pop(slot.key, None)
            companions.agree(slot.holder, slot.key, None, slot.above)
            taken = (slot.key, value)
        empty = not slot.holder or _only_labels(slot.holder, path) or _lacks_required(slot)
        if not empty and gaps and slot.above and _mark_absent_if_needed(resource, path, slot.above, taken):
            return
        value = [value] if isinstance(slot.holder, list) else {}
        slot = slot.above if empty and slot.above and slot.above.above else None


def _only_labels(holder: Any, path: Path) -> bool:
    """Return True if an element holds only the labels that the path itself sets: url, use, the tests of a `where`."""
    if not isinstance(holder, dict):
        return False
    labels = {"url"} if any(isinstance(step, Extension) for step in path) else set()
    labels |= {"use"} if any(isinstance(step, Current) and step.uses for step in path) else set()
    for step in first_branches(path):
        for test in step.tests if isinstance(step, Where) else ():
            if isinstance(test, Equals) and isinstance(test.path[0], Member):
                labels.add(test.path[0].name)
    return set(holder) <= labels


def _lacks_required(slot: Slot) -> bool:
    """Return True if US Core requires the member that was removed: the element cannot stay without it."""
    item = slot.above
    if item is None or not isinstance(item.holder, list) or item.above is None:
        return False
    return (item.above.key, slot.key) in DEMANDED


def _leave_needed_gap(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any] | None) -> bool:
    """Leave a gap in place of an item, and return True, if the path would otherwise read another item instead."""
    if taken is None:
        _leave_gap(slot, taken)
        return True
    items = list(slot.holder)
    slot.holder.pop(slot.key)
    another = not _is_nothing(read_value(path, resource))
    slot.holder[:] = items
    return another and _leave_gap_that_holds(resource, path, slot, taken)


def _mark_absent_if_needed(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any] | None) -> bool:
    """Mark the value of an element as absent, and return True, if current() would otherwise read another element."""
    if taken is None or not any(isinstance(step, Current) for step in path):
        return False
    if not isinstance(slot.holder, list) or _is_nothing(read_value(path, resource)):
        return False
    return _leave_gap_that_holds(resource, path, slot, taken)


def _leave_gap_that_holds(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any]) -> bool:
    """Leave the gap with which the path reads nothing: `unknown`, which US Core prefers, else `not-applicable`."""
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
    """Mark an item of a list as absent: a primitive item itself, or the removed member of an element."""
    if taken is not None:
        name, old = taken
        if isinstance(old, dict):
            slot.value[name] = _absent(reason)
        elif isinstance(old, list) and isinstance(old[0], dict):
            slot.value[name] = [_absent(reason)]
        elif isinstance(old, list):
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
    """Remove the gaps at the end of a list: no item follows whose position they would keep."""
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
    """Remove the item of `_given` that belongs to a removed item of `given`."""
    above = slot.above
    companions = above.holder.get(f"_{above.key}") if above and isinstance(above.holder, dict) else None
    if isinstance(companions, list) and slot.key < len(companions):
        companions.pop(slot.key)
        if above and not any(companions):
            del above.holder[f"_{above.key}"]
