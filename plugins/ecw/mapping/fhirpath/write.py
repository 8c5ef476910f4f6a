"""Write paths: put a value where the path reads it, and change nothing else.

    get(put(r, v)) == v        a value that was put is read
    put(r, get(r)) == r        putting the present value changes nothing

A present value is replaced in its place. If there is none, the missing elements of the path are created: an element
that satisfies the `where`, the first branch of a union, an extension with its URL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ecw.mapping.fhirpath import companions
from ecw.mapping.fhirpath.clear import take_away
from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.fhirpath.find import Slot, find
from ecw.mapping.fhirpath.paths import (
    Choice,
    Current,
    Equals,
    Extension,
    First,
    Index,
    Member,
    Path,
    Presence,
    Resolve,
    Step,
    Union,
    Where,
    first_branches,
)
from ecw.mapping.fhirpath.read import read_value
from ecw.mapping.values.convert import Unusable


def writable(path: Path) -> str | None:
    """Return the reason why a path cannot be written, or None."""
    for step in _every(path):
        if isinstance(step, Choice) and step.type is None:
            return f"{step.name} has several types: write {step.name}.ofType(…)"
        if isinstance(step, Resolve):
            return "resolve() reads another record"
    for step in first_branches(path):
        for test in step.tests if isinstance(step, Where) else ():
            if isinstance(test, Presence) and test.present:
                return f"an element that satisfies `{test}` cannot be made"
            if isinstance(test, Equals) and (len(test.path) != 1 or not isinstance(test.path[0], Member)):
                return f"an element that satisfies `{test}` cannot be made: compare a member"
    return None


def put(resource: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value into the resource, in place.

    Raises Unusable if the path cannot be filled in this record, e.g. a second given name without a first one.
    """
    slots = list(find(resource, path))
    slot = next((slot for slot in slots if slot.value is not None), slots[0] if slots else None)
    slot = slot or _make(resource, path)
    if slot.value != value or type(slot.value) is not type(value):
        slot.holder[slot.key] = value
        companions.agree(slot.holder, slot.key, value, slot.above)
        _no_longer_absent(slot)
    if read_value(path, resource) != value:
        raise Unusable("path", "the path does not read what it wrote")


def put_each(resource: dict[str, Any], path: Path, keep: Callable[[Any], bool], add: list[Any]) -> None:
    """Remove the values of a repeating path for which `keep` is False, in place, and append the values of `add`."""
    while (dropped := next((slot for slot in find(resource, path) if not keep(slot.value)), None)) is not None:
        take_away(resource, dropped, path, gaps=False)
    at = max(at for at, step in enumerate(path) if isinstance(step, Extension | Where) or at == 0)
    for value in add:
        element = _append(resource, path[: at + 1]).element()
        put(element, path[at + 1 :], value)


def _make(resource: dict[str, Any], path: Path) -> Slot:
    """Return the slot of the path; create what is missing."""
    if not path:
        return next(find(resource, path))
    found = next(find(resource, path), None)
    if found is not None:
        return found
    *before, step = path
    base = tuple(before)
    if isinstance(step, Union):
        return _make(resource, step.branches[0])
    if isinstance(step, Member):
        parent = _make(resource, base)
        return Slot(parent.element(), step.name, parent)
    if isinstance(step, Choice):
        parent = _make(resource, base)
        element = parent.element()
        for other in Choice(step.name, None).keys:
            element.pop(other, None)
            element.pop(f"_{other}", None)
        return Slot(element, step.keys[0], parent)
    if isinstance(step, Index) and step.at != sum(1 for _ in find(resource, base)):
        raise Unusable("position", f"position {step.at + 1} cannot be filled while the one before it is empty")
    return _append(resource, path)


def _append(resource: dict[str, Any], path: Path) -> Slot:
    """Append an item to the list that the path's last step selects from, and return its slot."""
    *before, step = path
    base = tuple(before)
    if isinstance(step, Union):
        return _append(resource, step.branches[0])
    if isinstance(step, First | Index):
        return _append(resource, base)
    if isinstance(step, Current):
        slot = _append(resource, base)
        slot.element().update({"use": step.uses[0]} if step.uses else {})
        return slot
    if isinstance(step, Where):
        slot = _append(resource, base)
        for test in step.tests:
            if isinstance(test, Equals) and isinstance(test.path[0], Member):
                slot.element()[test.path[0].name] = test.literal
        return slot
    member = Member("extension") if isinstance(step, Extension) else step
    if not isinstance(member, Member):
        raise Unusable("path", "the path does not say where to write")
    parent = _make(resource, base)
    element = parent.element()
    items = element.setdefault(member.name, [])
    if not isinstance(items, list):
        items = element[member.name] = [items]
    items.append({"url": step.url} if isinstance(step, Extension) else None)
    return Slot(items, len(items) - 1, Slot(element, member.name, parent))


def _every(path: Path) -> Iterator[Step]:
    for step in path:
        if isinstance(step, Union):
            for branch in step.branches:
                yield from _every(branch)
        yield step


def _no_longer_absent(slot: Slot) -> None:
    """Remove the data-absent-reason of the elements around a value that was written."""
    above = slot.above
    while above is not None and above.above is not None:
        _remove_absent_reason(above.holder, above.key)
        above = above.above


def _remove_absent_reason(holder: Any, key: Any) -> None:
    """Remove an element's data-absent-reason; if it is then empty, remove the member, or make the list item null."""
    element = holder.get(key) if isinstance(holder, dict) else holder[key]
    if not isinstance(element, dict) or not isinstance(element.get("extension"), list):
        return
    left = [item for item in element["extension"] if not isinstance(item, dict) or item.get("url") != ABSENT]
    if left == element["extension"]:
        return
    if left:
        element["extension"] = left
        return
    del element["extension"]
    if not element and isinstance(holder, dict):
        del holder[key]
    elif not element:
        holder[key] = None
