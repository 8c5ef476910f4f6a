"""The functions that compiled paths call, one per step.

A value is None or [] for nothing, a list for several values, else the one JSON value.
"""

from __future__ import annotations

from typing import Any

from ecw.mapping.fhirpath.current import current

NOTHING: tuple[Any, ...] = (None, [])


def many(value: Any) -> list[Any]:
    """Return the value as a list."""
    if type(value) is list:
        return value
    return [] if value is None else [value]


def member(value: Any, name: str) -> Any:
    """Return the member of an element, or those of several elements in one list."""
    if type(value) is dict:
        return value.get(name)
    if type(value) is not list or not value:
        return None
    if len(value) == 1:
        return value[0].get(name)
    found: list[Any] = []
    for item in value:
        inner = item.get(name)
        if type(inner) is list:
            found += inner
        elif inner is not None:
            found.append(inner)
    return found


def choice(value: Any, keys: tuple[str, ...]) -> Any:
    """Return the values of a polymorphic member, of any type."""
    return [inner for item in many(value) for key in keys for inner in many(item.get(key))]


def first(value: Any) -> Any:
    """Return the first of several."""
    if type(value) is list:
        return value[0] if value else None
    return value


def item(value: Any, at: int) -> Any:
    """Return the element at a position."""
    if type(value) is list:
        return value[at] if at < len(value) else None
    return value if at == 0 else None


def either(*values: Any) -> Any:
    """Return the first value that is not None or []."""
    for value in values:
        if value not in NOTHING:
            return value
    return None


def union(*values: Any) -> list[Any]:
    """Return all values, each once."""
    found: list[Any] = []
    for value in values:
        found += [inner for inner in many(value) if inner not in found]
    return found


def equal(value: Any, literal: Any) -> bool:
    """Compare as FHIRPath does: a list of one equals its one item."""
    return bool(value == literal or value == [literal])


def one(value: Any) -> Any:
    """Return the one value for a column: the first that is not None."""
    if type(value) is list:
        for inner in value:
            if inner is not None:
                return inner
        return None
    return value


def resolve(resource: dict[str, Any], value: Any) -> list[Any]:
    """Return the contained resources that references, or elements with a `reference`, name as `#id`."""
    contained = resource.get("contained")
    if not contained:
        return []
    wanted = [inner.get("reference") if type(inner) is dict else inner for inner in many(value)]
    known = {f"#{inner.get('id')}": inner for inner in many(contained) if type(inner) is dict}
    return [known[name] for name in wanted if name in known]


HELPERS: dict[str, Any] = {
    "NOTHING": NOTHING,
    **{
        helper.__name__: helper
        for helper in (many, member, choice, first, item, either, union, equal, one, resolve, current)
    },
}
