"""Pushed columns whose writes can meet: one of two values would be lost, and nobody would say so.

Two paths meet if nothing keeps their elements apart: another member, another index of one list, another URL, or tests
that no element can satisfy together (`use='home'` and `use.empty()`). Every branch of a union counts, since a push
writes where the value stands.
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
    """What a member of an element may be: one of some values (None: absent), or anything but some."""

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
    """One step down: a member, and which of its elements."""

    member: str
    tests: list[tuple[str, Allowed]] = field(default_factory=list)
    index: int | None = None

    def meets(self, other: Segment) -> bool:
        """Return True if both can mean one element."""
        if self.member != other.member:
            return False
        alike = [(name, each) for name, each in self.tests] == [(name, each) for name, each in other.tests]
        if alike and None not in (self.index, other.index) and self.index != other.index:
            return False
        return all(mine.meets(its) for name, mine in self.tests for its_name, its in other.tests if name == its_name)


def overlaps(columns: Iterable[Column]) -> Iterator[tuple[Column, Column, str]]:
    """Yield the pairs of columns that can write to one place, and the path of one of them there."""
    pushed = [(column, list(_writes(column))) for column in columns if column.pushed]
    for (one, its), (other, others) in combinations(pushed, 2):
        met = next((path for path, said in its for path2, said2 in others if _clash(path, said, path2, said2)), None)
        if met is not None:
            yield one, other, show(met)


def _writes(column: Column) -> Iterator[tuple[Path, str]]:
    """Yield every path that a column writes by, and the text that is written there (%value: the column's own)."""
    yield column.writes, "%value"
    yield from column.set_with


def _clash(path: Path, said: str, other: Path, other_said: str) -> bool:
    if said == other_said and not said.startswith("%"):
        return False
    return any(_meet(one, two) for one in _linear(path) for two in _linear(other))


def _meet(one: list[Segment], two: list[Segment]) -> bool:
    return all(mine.meets(its) for mine, its in zip(one, two, strict=False))


def _linear(path: Path) -> Iterator[list[Segment]]:
    """Yield the segments of every branch of a path."""
    for branch in branches(path):
        segments: list[Segment] = []
        for step in branch:
            if isinstance(step, Member | Choice):
                segments.append(Segment(step.name))  # of a choice: writing one type takes the others away
            elif isinstance(step, Extension):
                segments.append(Segment("extension", [("url", Allowed(frozenset({step.url})))]))
            elif segments and isinstance(step, Index | First):
                segments[-1].index = step.at if isinstance(step, Index) else 0
            elif segments and isinstance(step, Where):
                segments[-1].tests += [(show(test.path), _allowed(test)) for test in step.tests]
            elif segments and isinstance(step, Current):
                asked = Allowed(frozenset({*step.uses, None, *LAST})) if step.uses else Allowed(FORMER, but=True)
                segments[-1].tests.append(("use", asked))
        yield segments


def _allowed(test: Equals | Presence) -> Allowed:
    if isinstance(test, Equals):
        return Allowed(frozenset({test.literal}))
    return Allowed(frozenset({None}), but=test.present)


def branches(path: Path) -> Iterator[Path]:
    """Yield the path without unions, once for each way through them, in their order."""
    for at, step in enumerate(path):
        if isinstance(step, Union):
            for branch in step.branches:
                for rest in branches((*branch, *path[at + 1 :])):
                    yield (*path[:at], *rest)
            return
    yield path
