"""The writing half of paths: put a value where the path reads it, and touch nothing else.

    get(put(r, v)) == v        what was put is what is read
    put(r, get(r)) == r        putting what is there changes nothing

A value that is there is replaced where it stands. Where there is none, what the path lacks is made: an element that
satisfies the `where`, the first branch of a union, an extension with its URL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from ecw.mapping.fhirpath import companions
from ecw.mapping.fhirpath.companions import ABSENT as ABSENT
from ecw.mapping.fhirpath.current import NONE, choose, why_not
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
    Test,
    Union,
    Where,
)
from ecw.mapping.fhirpath.read import filler, holds, reader
from ecw.mapping.values.convert import Unusable

UNKNOWN = "unknown"  # why a value is absent, where nobody says more
# What the profile demands of an element: without it the element goes. https://hl7.org/fhir/us/core/STU3.1.1/
DEMANDED = frozenset(
    {
        *(("telecom", "value"), ("telecom", "system"), ("identifier", "value"), ("identifier", "system")),
        ("communication", "language"),
    }
)


@dataclass(slots=True)
class Slot:
    """A place in a resource: a member of an element, or an item of a list; `above` is the slot of its holder."""

    holder: Any  # dict or list
    key: Any  # str or int
    above: Slot | None = None

    @property
    def value(self) -> Any:
        return self.holder.get(self.key) if isinstance(self.holder, dict) else self.holder[self.key]

    def element(self) -> dict[str, Any]:
        """Return the element here, made if there is none."""
        if self.value is None:
            self.holder[self.key] = {}
        if not isinstance(self.value, dict):
            raise Unusable("shape", "an element with members is wanted where the record has a plain value")
        return self.value


def location(slot: Slot) -> str:
    """Return where the slot is, as a path with indexes: `name[1].family`."""
    above = location(slot.above) if slot.above and slot.above.above else ""
    if isinstance(slot.key, int):
        return f"{above}[{slot.key}]"
    return f"{above}.{slot.key}" if above else str(slot.key)


def writable(path: Path) -> str | None:
    """Return why a path can be read only, or None."""
    for step in _every(path):
        if isinstance(step, Choice) and step.type is None:
            return f"{step.name} has several types: write {step.name}.ofType(…)"
        if isinstance(step, Resolve):
            return "what a reference names is another record"
    for step in _made(path):
        for test in step.tests if isinstance(step, Where) else ():
            if isinstance(test, Presence) and test.present:
                return f"an element that satisfies `{test}` cannot be made"
            if isinstance(test, Equals) and (len(test.path) != 1 or not isinstance(test.path[0], Member)):
                return f"an element that satisfies `{test}` cannot be made: compare a member"
    return None


def put(resource: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value, in place.

    Raises Unusable where the record has no room for it, e.g. a second given name where there is no first.
    """
    slots = list(find(resource, path))
    slot = next((slot for slot in slots if slot.value is not None), slots[0] if slots else None)
    slot = slot or _make(resource, path)
    if slot.value != value or type(slot.value) is not type(value):
        slot.holder[slot.key] = value
        companions.agree(slot.holder, slot.key, value, slot.above)
        _no_longer_absent(slot, path[-1])
    if _reader(path)(resource) != value:
        raise Unusable("path", "the path does not read what it wrote")


def slot_of(resource: dict[str, Any], path: Path) -> Slot | None:
    """Return the slot whose value the path reads, or None."""
    return next((slot for slot in find(resource, path) if slot.value is not None), None)


def put_each(resource: dict[str, Any], path: Path, keep: Callable[[Any], bool], add: list[Any]) -> None:
    """Take away the values of a repeating path that are not kept, in place, and add others after them."""
    while (gone := next((slot for slot in find(resource, path) if not keep(slot.value)), None)) is not None:
        take_away(resource, gone, path, gaps=False)
    at = max(at for at, step in enumerate(path) if isinstance(step, Extension | Where) or at == 0)
    for value in add:
        element = _append(resource, path[: at + 1]).element()
        put(element, path[at + 1 :], value)


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


def find(resource: dict[str, Any], path: Path) -> Iterator[Slot]:
    """Yield the slots that the path reads, in its order."""
    if not path:
        yield Slot({"resource": resource}, "resource")
        return
    *before, step = path
    base = tuple(before)
    if isinstance(step, Union):
        seen: list[Any] = []
        for branch in step.branches:
            for slot in find(resource, branch):
                if slot.value not in seen:
                    seen.append(slot.value)
                    yield slot
    elif isinstance(step, First):
        yield from islice(find(resource, base), 1)
    elif isinstance(step, Current):
        yield from islice(_current(find(resource, base), step), 1)
    elif isinstance(step, Resolve):
        yield from _resolved(resource, find(resource, base))
    elif isinstance(step, Index):
        yield from islice(find(resource, base), step.at, step.at + 1)
    elif isinstance(step, Where):
        yield from (slot for slot in find(resource, base) if all(_holds(test, slot.value) for test in step.tests))
    elif isinstance(step, Extension):
        slots = find(resource, (*base, Member("extension")))
        yield from (slot for slot in slots if isinstance(slot.value, dict) and slot.value.get("url") == step.url)
    else:
        keys = (step.name,) if isinstance(step, Member) else step.keys
        for parent in find(resource, base):
            for key in keys:
                yield from _members(parent, key)


def _current(slots: Iterator[Slot], step: Current) -> Iterator[Slot]:
    left = [slot for slot in slots if isinstance(slot.value, dict) and why_not(slot.value, step.uses) is None]
    if left:
        best = choose([slot.value for slot in left], step.uses, filler(step.needs)) if len(left) > 1 else left[0].value
        yield next(slot for slot in left if slot.value is best)


def _resolved(resource: dict[str, Any], slots: Iterator[Slot]) -> Iterator[Slot]:
    contained = resource.get("contained") or []
    for slot in slots:
        wanted = slot.value.get("reference") if isinstance(slot.value, dict) else slot.value
        for at, inner in enumerate(contained):
            if isinstance(inner, dict) and f"#{inner.get('id')}" == wanted:
                yield Slot(contained, at, Slot(resource, "contained"))


def _members(parent: Slot, key: str) -> Iterator[Slot]:
    value = parent.value.get(key) if isinstance(parent.value, dict) else None
    slot = Slot(parent.value, key, parent)
    if isinstance(value, list):
        yield from (Slot(value, at, slot) for at in range(len(value)))
    elif value is not None:
        yield slot


def _make(resource: dict[str, Any], path: Path) -> Slot:
    """Return the slot of the path, made as far as it is not there."""
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
    """Add an item to the list that a selecting step selects from."""
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


def _made(path: Path) -> Path:
    """Return the steps that making goes through: of a union, the first branch."""
    steps: Path = ()
    for step in path:
        steps += _made(step.branches[0]) if isinstance(step, Union) else (step,)
    return steps


def _holds(test: Test, element: Any) -> bool:
    return isinstance(element, dict) and _tester(test)(element)


_tester = cache(holds)
_reader = cache(reader)


def _only_labels(holder: Any, path: Path) -> bool:
    """Return True if an element holds nothing but what the path itself labels it with."""
    if not isinstance(holder, dict):
        return False
    labels = {"url"} if any(isinstance(step, Extension) for step in path) else set()
    labels |= {"use"} if any(isinstance(step, Current) and step.uses for step in path) else set()
    for step in _made(path):
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


def _no_longer_absent(slot: Slot, step: Any) -> None:
    """Remove the statement that the value is absent, now that it is there; whatever else `_name` holds stays."""
    if isinstance(slot.holder, dict):
        _present(slot.holder, f"_{slot.key}")
    elif slot.above is not None and isinstance(slot.above.holder, dict):
        companions = slot.above.holder.get(f"_{slot.above.key}")
        if isinstance(companions, list) and slot.key < len(companions):
            _present(companions, slot.key)
            if not any(companions):
                del slot.above.holder[f"_{slot.above.key}"]
    above = slot.above
    while above is not None and above.above is not None:  # the elements around it are there as well
        _present(above.holder, above.key)
        above = above.above


def _present(holder: Any, key: Any) -> None:
    """Remove from an element what says that it is absent; an item of a list stays as null, a member goes if empty."""
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


def _left_gap(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any] | None) -> bool:
    """Leave a gap in the place of an item where that keeps the others in theirs; return False where it need not."""
    if taken is None:
        _leave_gap(slot, taken)
        return True
    items = list(slot.holder)
    slot.holder.pop(slot.key)
    another = not _is_nothing(_reader(path)(resource))
    slot.holder[:] = items
    return another and _leave_gap_that_holds(resource, path, slot, taken)


def _held(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any] | None) -> bool:
    """Leave a gap in an element that stays where another would be read for it; return False where it need not."""
    if taken is None or not any(isinstance(step, Current) for step in path):
        return False
    if not isinstance(slot.holder, list) or _is_nothing(_reader(path)(resource)):
        return False
    return _leave_gap_that_holds(resource, path, slot, taken)


def _leave_gap_that_holds(resource: dict[str, Any], path: Path, slot: Slot, taken: tuple[str, Any]) -> bool:
    """Leave the gap with which the path reads nothing: `unknown`, as US Core wants it, else that there is none."""
    element = dict(slot.value)
    for reason in (UNKNOWN, NONE):
        _leave_gap(slot, taken, reason)
        if _is_nothing(_reader(path)(resource)):
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
