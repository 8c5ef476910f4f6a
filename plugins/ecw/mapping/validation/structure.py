"""Compare paths with FHIR's structure: unknown elements, repeating elements, elements that no column uses.

The structure is read from the models of fhir.resources (R4B; the five resources are the same in R4). Their import takes
half a second: only `ecw mapping check` and tests use this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from ecw.did_you_mean import did_you_mean, nearest
from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.definition.used_elements import paths_of
from ecw.mapping.definition.used_elements import used_elements as used_elements
from ecw.mapping.definition.yaml_file import YamlFile, as_text
from ecw.mapping.fhirpath.paths import (
    Choice,
    Current,
    Extension,
    First,
    Index,
    Member,
    Path,
    Resolve,
    Step,
    Union,
    Where,
)

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
# The extensions of US Core 3.1.1 and 6.1.0 on the five resources.
US_CORE_EXTENSIONS = {
    "Patient": (
        "us-core-race",
        "us-core-ethnicity",
        "us-core-birthsex",
        "us-core-genderIdentity",
        "us-core-sex",
        "us-core-tribal-affiliation",
    ),
}
SELECTING = Where | First | Index | Extension | Current
# Every element can have these; no mapping needs them.
EVERYWHERE = frozenset({"id", "extension", "modifierExtension"})


# Column types that accept a primitive without `clean`, by the Python type of its field; other fields fit any type.
TAKES = {
    "bool": ("boolean",),
    "int": ("integer", "decimal", "string", "code"),
    "Decimal": ("decimal",),
    "str": ("string", "code", "reference", "date", "datetime"),
    "date": ("date", "datetime", "string", "code"),
    "datetime": ("date", "datetime", "string", "code"),
}


CONCEPTS = ("CodeableConcept", "Coding")


@dataclass(frozen=True, slots=True)
class Element:
    type: str  # "" for a primitive, and for the common name of a polymorphic element
    repeats: bool
    common: str = ""  # the name that `deceasedBoolean` shares with `deceasedDateTime`
    plain: str = ""  # the Python type of a primitive's field


@cache
def elements(type_name: str) -> MappingProxyType[str, Element]:
    """Return the elements of a FHIR type by name; of a polymorphic one, each JSON key and the common name."""
    from fhir.resources.R4B import get_fhir_model_class

    model = get_fhir_model_class(type_name)
    names = set(model.elements_sequence())
    found = {}
    for field in model.model_fields.values():
        name = field.alias
        if name not in names:
            continue
        annotation = str(field.annotation)
        complex_type = re.search(r"abc\.(\w+)Type\b", annotation)
        extra = field.json_schema_extra
        common = str(extra.get("one_of_many", "")) if isinstance(extra, dict) else ""
        plain = re.search(r"\b(bool|int|Decimal|str|datetime(?=,)|date(?=,))", annotation)
        found[name] = Element(
            complex_type.group(1) if complex_type else "",
            "typing.List" in annotation,
            common,
            plain.group(1) if plain and not complex_type else "",
        )
        if common:
            found[common] = Element("", False)
    return MappingProxyType(found)


def check_structure(mapping: Mapping) -> list[str]:
    """Return the problems of the mapping's paths, and the elements that are neither mapped nor excluded."""
    try:
        elements(mapping.resource)
    except ValueError:
        return [f"{mapping.file}:1: {mapping.resource!r} is not a FHIR resource"]
    problems = []
    for column in mapping.columns:
        for path in paths_of(column):
            place = f"{mapping.file}:{column.line}: column {column.name!r}"
            problems += [f"{place}: {problem}" for problem in _walk(path, mapping.resource, _is_written(column, path))]
        problems += [f"{place}: {problem}" for problem in _misfits(column, column.steps, mapping.resource)]
    return list(dict.fromkeys(problems)) + list(_excluded_problems(mapping))


def _is_written(column: Column, path: Path) -> bool:
    """Return True if a push writes to a path; a fallback, and a `path` beside a `write_path`, are only read."""
    if not column.pushed or (column.fallback is not None and path == column.fallback.steps):
        return False
    return path != column.steps or not column.write_path


def _walk(path: Path, type_name: str, pushed: bool, following: Step | None = None) -> Iterator[str]:
    """Follow a path through FHIR's structure and yield its problems; `following` is the step after its end."""
    at: str | None = type_name
    for step, after in zip(path, (*path[1:], following), strict=True):
        if isinstance(step, Union):
            for branch in step.branches:
                yield from _walk(branch, at or "", pushed, after)
            at = _type_at(step.branches[0], at)
        elif isinstance(step, Member | Choice):
            known = elements(at) if at else {}
            name = step.keys[0] if isinstance(step, Choice) and step.type else step.name
            if at is not None and name not in known:
                yield f"{at or 'a plain value'} has no element {name!r}; {did_you_mean(name, known)}"
                return
            if pushed and at and known[name].repeats and not isinstance(after, SELECTING):
                yield f"{name} repeats: select the one that a push writes with where(…), first() or [0]"
            at = _type_at((step,), at)
        elif isinstance(step, Extension):
            at = "Extension"
        elif isinstance(step, Resolve):
            at = None
        elif isinstance(step, Where):
            for test in step.tests:
                yield from _walk(test.path, at or "", False) if at else ()


def _misfits(column: Column, path: Path, type_name: str | None) -> Iterator[str]:
    """Yield the reasons why the element at the end of the path can never be a value of the column."""
    *before, last = path
    at = _type_at(tuple(before), type_name)
    if isinstance(last, Union):
        for branch in last.branches:
            yield from _misfits(column, branch, at)
    elif isinstance(last, First | Index | Where | Current):
        yield from _misfits(column, tuple(before), type_name)
    elif isinstance(last, Extension | Resolve):
        yield f"{last} has members: name the one that the column takes"
    elif at:
        known = elements(at).get(last.keys[0] if isinstance(last, Choice) and last.type else last.name)
        if known and known.type in CONCEPTS:
            if not column.concept:
                yield f"{last} has members: name the one that the column takes, or use the type concept"
        elif column.concept and known:
            yield f"{last} is not a CodeableConcept or Coding, which the type concept needs"
        elif known and known.type:
            yield f"{last} has members: name the one that the column takes"
        elif (
            known
            and ((column.pushed and not column.write_path) or not column.clean)
            and column.type not in TAKES.get(known.plain, (column.type,))
        ):
            yield f"{last} is never a value of type {column.type}: use {', '.join(TAKES[known.plain])}"


def _type_at(path: Path, type_name: str | None) -> str | None:
    """Return the type at the end of a path, "" for a primitive, None if it is unknown."""
    at = type_name
    for step in path:
        if isinstance(step, Union):
            at = _type_at(step.branches[0], at)
        elif isinstance(step, Extension):
            at = "Extension"
        elif isinstance(step, Resolve) or (isinstance(step, Choice) and step.type is None):
            at = None
        elif isinstance(step, Member | Choice) and at is not None:
            name = step.keys[0] if isinstance(step, Choice) else step.name
            at = elements(at)[name].type if at and name in elements(at) else None
    return at


def _excluded_problems(mapping: Mapping) -> Iterator[str]:
    """Yield the elements of the first two levels that are in no column and not in `excluded`, and mistakes in it."""
    file = YamlFile(mapping.file, as_text)
    used = {name for column in mapping.columns for name in used_elements(column)}
    top = elements(mapping.resource)
    used |= {top[name].common for name in used if name in top}
    expected = [name for name in top if name not in ("id", "extension") and not top[name].common]
    for name in sorted({name.split(".")[0] for name in used} & set(top) - {"extension", "contained"}):
        if top[name].type:
            expected += [f"{name}.{child}" for child in elements(top[name].type) if child not in EVERYWHERE]
    expected += [f"{US_CORE}{name}" for name in US_CORE_EXTENSIONS.get(mapping.resource, ())]
    missing = [name for name in expected if name not in used and name not in mapping.excluded]
    for name in missing:
        file.wrong(
            ("excluded",), f"{name} is in no column: map it, or write it under excluded with the reason", key=True
        )
    for name in mapping.excluded:
        own_extension = "://" in name and nearest(name, missing, cutoff=0.9) is None
        if name in used:
            file.wrong(("excluded", name), f"{name} is excluded, but a column uses it", key=True)
        elif name not in expected and not own_extension and name != "extension":
            near = did_you_mean(name, dict.fromkeys(expected))
            file.wrong(("excluded", name), f"{mapping.resource} has no element {name!r}; {near}", key=True)
    yield from file.problems
