"""Mapper: a FHIR resource becomes a row of the CRM, by code that is generated once from the mapping file."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from ecw.mapping.clean import CLEANERS
from ecw.mapping.convert import Unusable, converter
from ecw.mapping.crosswalks import Crosswalk
from ecw.mapping.model import Column, Mapping
from ecw.mapping.read import Reader, build

Unmapped = list[tuple[str, str]]
NO_MEMBERS = "an element is a text, a number or a list where FHIR has members"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record may not enter: never with the value."""

    column: str | None
    rule: str
    reason: str


@dataclass(slots=True)
class MappedRow:
    """The row, the problems that keep it out (none: it may enter), and (crosswalk, code) of unmapped codes."""

    row: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    unmapped: Unmapped = field(default_factory=list)


class Mapper:
    """Makes rows of the resources of one mapping file.

    `time_zone` stands in for the file's, where practices differ. `source` is the generated code, for reading.
    """

    def __init__(self, mapping: Mapping, *, time_zone: str | None = None) -> None:
        self.mapping = mapping
        self.columns = mapping.pulled
        self.zone = ZoneInfo(time_zone or mapping.time_zone or "UTC")
        self.required = [column.name for column in self.columns if column.required]
        reader, names = Reader(), dict[str, Any]()
        values = [reader.value(column.steps) for column in self.columns]
        self.read = build("read", ["r"], [*reader.lines, f"return [{', '.join(values)}]"], {})
        lines = []
        for at, (column, value) in enumerate(zip(self.columns, values, strict=True)):
            finished, used = finishing(column, mapping.crosswalks, self.zone, f"_{at}")
            names |= used
            lines += [f"value = {value}", *finished, f"row[{column.name!r}] = value"]
        self.make: Callable[[dict[str, Any], Unmapped], dict[str, Any]] = build(
            "make", ["r", "unmapped"], [*reader.lines, "row = {}", *lines, "return row"], names
        )
        self.source = self.make.__doc__ or ""

    @cached_property
    def finish(self) -> list[Callable[[Any, Unmapped], Any]]:
        """What `make` does to each column's value, column by column: only a row with problems needs it."""
        return [finisher(column, self.mapping.crosswalks, self.zone) for column in self.columns]

    def row(self, resource: dict[str, Any]) -> MappedRow:
        """Map one resource; whatever is wrong with it comes back as problems, all of them."""
        if resource.get("resourceType") != self.mapping.resource:
            return MappedRow({}, [Problem(None, "resource type", f"this is not a {self.mapping.resource}")])
        unmapped: Unmapped = []
        try:
            row = self.make(resource, unmapped)
        except Unusable:
            return self.row_with_problems(resource)
        except (AttributeError, TypeError):
            return MappedRow({}, [Problem(None, "not FHIR", NO_MEMBERS)])
        for name in self.required:
            if row[name] is None:
                return MappedRow(row, self.missing(row), unmapped)
        return MappedRow(row, unmapped=unmapped)

    def row_with_problems(self, resource: dict[str, Any]) -> MappedRow:
        """Map column by column, so that every problem is found and not the first only."""
        mapped = MappedRow({})
        for column, value, finish in zip(self.columns, self.read(resource), self.finish, strict=True):
            mapped.row[column.name] = None
            try:
                mapped.row[column.name] = None if value is None else finish(value, mapped.unmapped)
            except Unusable as error:
                mapped.problems.append(Problem(column.name, error.rule, error.reason))
        told = {problem.column for problem in mapped.problems}
        mapped.problems += [problem for problem in self.missing(mapped.row) if problem.column not in told]
        return mapped

    def missing(self, row: MappingType[str, Any]) -> list[Problem]:
        return [
            Problem(name, "required", "the record has no value for it") for name in self.required if row[name] is None
        ]


def finisher(column: Column, crosswalks: MappingType[str, Crosswalk], zone: ZoneInfo) -> Callable[[Any, Unmapped], Any]:
    """Return a function: a value that was read -> the column's, as `finishing` writes it."""
    lines, names = finishing(column, crosswalks, zone)
    return build("finish", ["value", "unmapped"], [*lines, "return value"], names)


def finishing(
    column: Column, crosswalks: MappingType[str, Crosswalk], zone: ZoneInfo, suffix: str = ""
) -> tuple[list[str], dict[str, Any]]:
    """Write what happens to the variable `value` that was read, clean, null_if, type and crosswalk, as statements.

    Also return the names that they use, each with the suffix.
    """
    names: dict[str, Any] = {f"convert{suffix}": converter(column.type, zone)}
    lines = []
    for at, cleaner in enumerate(column.clean):
        names[f"clean{at}{suffix}"] = CLEANERS[cleaner]
        lines.append(f"if type(value) is str: value = clean{at}{suffix}(value)")
    if column.null_if:
        words = (word.capitalize() if column.type == "boolean" else word for word in column.null_if)
        names[f"nothing{suffix}"] = frozenset(words)
        # A null date comes with the time and offset of the practice: only its day tells it.
        said = "str(value)[:10]" if column.type in ("date", "datetime") else "str(value)"
        lines.append(f"if value is not None and {said} in nothing{suffix}: value = None")
    # A text needs no call to stay what it is.
    unless = " and (type(value) is not str or not value)" if column.type == "string" else ""
    lines.append(f"if value is not None{unless}: value = convert{suffix}(value)")
    if column.crosswalk:
        names[f"crosswalk{suffix}"], names["look_up"] = crosswalks[column.crosswalk], look_up
        lines.append(f"if value is not None: value = look_up(crosswalk{suffix}, value, unmapped)")
    return lines, names


def look_up(crosswalk: Crosswalk, code: str, unmapped: Unmapped) -> str | None:
    """Return the CRM's value for a code, by the crosswalk's policy where it has none."""
    value = crosswalk.values.get(code)
    if value is not None:
        return value
    unmapped.append((crosswalk.name, code))
    if crosswalk.unmapped == "reject":
        raise Unusable("unmapped code", f"the crosswalk {crosswalk.name} does not have the code")
    return crosswalk.default if crosswalk.unmapped == "default" else code
