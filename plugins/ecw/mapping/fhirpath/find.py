"""Find the values of a path in a resource, as slots: places that can be read, written and cleared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from ecw.mapping.fhirpath.current import choose, why_not
from ecw.mapping.fhirpath.paths import Current, Extension, First, Index, Member, Path, Resolve, Test, Union, Where
from ecw.mapping.fhirpath.read import filler, holds
from ecw.mapping.values.convert import Unusable


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
        """Return the element in this place; create it if there is none."""
        if self.value is None:
            self.holder[self.key] = {}
        if not isinstance(self.value, dict):
            raise Unusable("shape", "the record has a plain value where an element with members is expected")
        return self.value


def location(slot: Slot) -> str:
    """Return the place of a slot as a path with indexes: `name[1].family`."""
    above = location(slot.above) if slot.above and slot.above.above else ""
    if isinstance(slot.key, int):
        return f"{above}[{slot.key}]"
    return f"{above}.{slot.key}" if above else str(slot.key)


def slot_of(resource: dict[str, Any], path: Path) -> Slot | None:
    """Return the slot whose value the path reads, or None."""
    return next((slot for slot in find(resource, path) if slot.value is not None), None)


def find(resource: dict[str, Any], path: Path) -> Iterator[Slot]:
    """Yield the slots that the path reads, in the path's order."""
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
    valid = [slot for slot in slots if isinstance(slot.value, dict) and why_not(slot.value, step.uses) is None]
    if valid:
        values = [slot.value for slot in valid]
        best = choose(values, step.uses, filler(step.needs)) if len(valid) > 1 else values[0]
        yield next(slot for slot in valid if slot.value is best)


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


def _holds(test: Test, element: Any) -> bool:
    return isinstance(element, dict) and _tester(test)(element)


_tester = cache(holds)
