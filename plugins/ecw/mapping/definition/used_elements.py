"""The elements of a resource that a mapping reads, writes or tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ecw.mapping.definition.model import Column
from ecw.mapping.fhirpath.paths import Choice, Current, Extension, Member, Path, Resolve, Step, Union, Where

CODING = ("system", "version", "code", "display", "userSelected")


def leaves(columns: Iterable[Column]) -> frozenset[str]:
    """Return the lowest elements that columns use, without their parents, and the URLs of extensions."""
    used = {name for column in columns for name in used_elements(column)}
    above = {name[:at] for name in used if "://" not in name for at in range(len(name)) if name[at] == "."}
    return frozenset(used - above)


def used_elements(column: Column) -> set[str]:
    """Return the elements that a column reads, writes or tests: `name`, `name.family`, an extension's URL."""
    found: set[str] = set()
    for path in paths_of(column):
        _collect(path, "", found)
    if column.concept:
        # A concept is read as a whole.
        found |= {f"{name}.{child}" for name in ends_of(column) for child in ("coding", "text", *CODING)}
    return found


def paths_of(column: Column) -> Iterator[Path]:
    """Yield every path that a column reads or writes."""
    yield column.steps
    if column.fallback is not None:
        yield column.fallback.steps
    if column.write_path:
        yield column.write_path
    yield from (path for path, _ in column.set_with)


def ends_of(column: Column) -> set[str]:
    """Return the elements at the ends of a column's path, one per branch."""
    return {end for path in _ends(column.steps) for end in [_collect(path, "", set())]}


def _ends(path: Path) -> Iterator[Path]:
    *before, last = path
    if isinstance(last, Union):
        for branch in last.branches:
            yield from _ends((*before, *branch))
    else:
        yield path


def _collect(path: Path, base: str, found: set[str]) -> str:
    for step in path:
        if isinstance(step, Union):
            ends = [_collect(branch, base, found) for branch in step.branches]
            base = ends[0]
        elif isinstance(step, Extension):
            found |= {step.url} if "://" in step.url else set()
            base = f"{base}.extension" if base else "extension"
        elif isinstance(step, Resolve):
            found.add("contained")
            return "contained"
        elif isinstance(step, Current):
            found |= {f"{base}.{name}" for name in ("use", "period", "rank")}
        elif isinstance(step, Where):
            for test in step.tests:
                _collect(test.path, base, found)
        elif isinstance(step, Member | Choice):
            for name in _names(step):
                found.add(f"{base}.{name}" if base else name)
            base = f"{base}.{_names(step)[0]}" if base else _names(step)[0]
    return base


def _names(step: Step) -> tuple[str, ...]:
    if isinstance(step, Choice):
        return step.keys[:1] if step.type else (step.name, *step.keys)
    return (step.name,) if isinstance(step, Member) else ()
