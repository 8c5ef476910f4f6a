"""Find pushed columns that can write to the same place: one of the two values would be lost silently.

Two paths can meet unless they differ in a member, an index of one list, an extension's URL, or tests that no element
can satisfy together (`use='home'` and `use.empty()`). Every branch of a union counts, because a push writes to the
branch that holds the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ecw.mapping.definition.model import Column
from ecw.mapping.fhirpath.current import FORMER, LAST
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
    Union,
    Where,
    show,
)


@dataclass(slots=True)
class Allowed:
    """The values that a member may have: `values` (None: absent), or with `but` all other values."""

    values: frozenset[Any]
    but: bool = False

    def meets(self, other: Allowed) -> bool:
        """Return True if some value satisfies both."""
        if self.but and other.but:
            return True
        if self.but or other.but:
            few, many = (other, self) if self.but else (self, other)
            return bool(few.values - many.values)
        return bool(self.values & other.values)


@dataclass(slots=True)
class Segment:
    """One level of a path: a member, and the tests and the index that select its elements."""

    member: str
    tests: list[tuple[str, Allowed]] = field(default_factory=list)
    index: int | None = None

    def meets(self, other: Segment) -> bool:
        """Return True if both can select the same element."""
        if self.member != other.member:
            return False
        alike = [(name, each) for name, each in self.tests] == [(name, each) for name, each in other.tests]
        if alike and None not in (self.index, other.index) and self.index != other.index:
            return False
        return all(one.meets(two) for name, one in self.tests for name2, two in other.tests if name == name2)


def overlaps(columns: Iterable[Column]) -> Iterator[tuple[Column, Column, str]]:
    """Yield the pairs of columns that can write to the same place, and the path of the first of them there."""
    pushed = [(column, list(_writes(column))) for column in columns if column.pushed]
    for (one, writes), (two, writes2) in combinations(pushed, 2):
        met = next(
            (path for path, text in writes for path2, text2 in writes2 if _clash(path, text, path2, text2)), None
        )
        if met is not None:
            yield one, two, show(met)


def _writes(column: Column) -> Iterator[tuple[Path, str]]:
    """Yield every path that a column writes, with the text that is written there (%value: the column's value)."""
    yield column.writes, "%value"
    yield from column.set_with


def _clash(path: Path, text: str, path2: Path, text2: str) -> bool:
    if text == text2 and not text.startswith("%"):
        return False
    return any(_meet(one, two) for one in _linear(path) for two in _linear(path2))


def _meet(one: list[Segment], two: list[Segment]) -> bool:
    return all(each.meets(each2) for each, each2 in zip(one, two, strict=False))


def _linear(path: Path) -> Iterator[list[Segment]]:
    """Yield the segments of every branch of a path."""
    for branch in branches(path):
        segments: list[Segment] = []
        for step in branch:
            if isinstance(step, Member | Choice):
                segments.append(Segment(step.name))  # a choice: writing one type removes the others
            elif isinstance(step, Extension):
                segments.append(Segment("extension", [("url", Allowed(frozenset({step.url})))]))
            elif segments and isinstance(step, Index | First):
                segments[-1].index = step.at if isinstance(step, Index) else 0
            elif segments and isinstance(step, Where):
                segments[-1].tests += [(show(test.path), _allowed(test)) for test in step.tests]
            elif segments and isinstance(step, Current):
                uses = Allowed(frozenset({*step.uses, None, *LAST})) if step.uses else Allowed(FORMER, but=True)
                segments[-1].tests.append(("use", uses))
        yield segments


def _allowed(test: Equals | Presence) -> Allowed:
    if isinstance(test, Equals):
        return Allowed(frozenset({test.literal}))
    return Allowed(frozenset({None}), but=test.present)


def branches(path: Path) -> Iterator[Path]:
    """Yield one path without unions for each combination of their branches, in order."""
    for at, step in enumerate(path):
        if isinstance(step, Union):
            for branch in step.branches:
                for rest in branches((*branch, *path[at + 1 :])):
                    yield (*path[:at], *rest)
            return
    yield path
