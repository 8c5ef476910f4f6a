"""Mapper: FHIR resource -> row of the CRM; the code is generated once from the mapping file."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.definition.used_elements import leaves
from ecw.mapping.fhirpath.read import Reader, build
from ecw.mapping.transform.concepts import Unmapped, reading, reading_all, reading_words
from ecw.mapping.values.clean import CLEANERS
from ecw.mapping.values.convert import Converter, Unusable, converter, record_in
from ecw.mapping.values.name_text import TAKES
from ecw.mapping.vocabulary import is_null_date

NO_MEMBERS = "an element is a text, a number or a list where FHIR has members"
# A violation of these rules leaves an optional column empty; it does not reject the record.
SOFT = ("reference", "partial date")


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why a record is rejected, or why a column stays empty; never with the value."""

    column: str | None
    rule: str
    reason: str


@dataclass(slots=True)
class MappedRow:
    """The row, the problems that reject it (none: it can be loaded), unmapped codes as (crosswalk, code), and warnings:
    the reasons why columns stay empty although the record has a value."""

    row: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    unmapped: Unmapped = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


Warned = list[Problem]
Make = Callable[[dict[str, Any], Unmapped, Warned], Any]


class Mapper:
    """Maps resources to rows by one mapping file.

    `time_zone` replaces the file's, for a practice that differs. `source` is the generated code, to read it.
    """

    def __init__(self, mapping: Mapping, *, time_zone: str | None = None) -> None:
        self.mapping = mapping
        self.columns = mapping.pulled
        self.zone = ZoneInfo(time_zone or mapping.time_zone or "UTC")
        code = ColumnCode(mapping, self.zone)
        self.required = [column.name for column in self.columns if column.required]
        reader, names = Reader(), dict[str, Any]()
        written = [code.statements(column, reader, f"_{at}") for at, column in enumerate(self.columns)]
        lines = []
        for column, (finished, used) in zip(self.columns, written, strict=True):
            names |= used
            lines += [*finished, f"row[{column.name!r}] = value"]
        names |= reader.names
        self.make: Make = build("make", ARGUMENTS, [*reader.lines, "row = {}", *lines, "return row"], names)
        self.source = self.make.__doc__ or ""

    @cached_property
    def elements(self) -> frozenset[str]:
        """The lowest elements that columns read or write, and the URLs of extensions."""
        return leaves(self.mapping.columns)

    @cached_property
    def values(self) -> list[Make]:
        """The same as `make`, one function per column: needed only for a row with problems."""
        return [ColumnCode(self.mapping, self.zone).function(column) for column in self.columns]

    def row(self, resource: dict[str, Any]) -> MappedRow:
        """Map one resource; the result has all its problems."""
        if resource.get("resourceType") != self.mapping.resource:
            return MappedRow({}, [Problem(None, "resource type", f"this is not a {self.mapping.resource}")])
        mapped = MappedRow({})
        try:
            mapped.row = self.make(resource, mapped.unmapped, mapped.warnings)
        except Unusable:
            return self.row_with_problems(resource)
        except (AttributeError, TypeError):
            return MappedRow({}, [Problem(None, "not FHIR", NO_MEMBERS)])
        for name in self.required:
            if mapped.row[name] is None:
                mapped.problems = self.missing(mapped.row)
        return mapped

    def row_with_problems(self, resource: dict[str, Any]) -> MappedRow:
        """Map column by column, to find every problem and not only the first."""
        mapped = MappedRow({})
        for column, value in zip(self.columns, self.values, strict=True):
            mapped.row[column.name] = None
            try:
                mapped.row[column.name] = value(resource, mapped.unmapped, mapped.warnings)
            except Unusable as error:
                mapped.problems.append(Problem(column.name, error.rule, error.reason))
            except (AttributeError, TypeError):
                return MappedRow({}, [Problem(None, "not FHIR", NO_MEMBERS)])
        reported = {problem.column for problem in mapped.problems}
        mapped.problems += [problem for problem in self.missing(mapped.row) if problem.column not in reported]
        return mapped

    def missing(self, row: MappingType[str, Any]) -> list[Problem]:
        return [
            Problem(name, "required", "the record has no value for it") for name in self.required if row[name] is None
        ]


ARGUMENTS = ["r", "unmapped", "warned"]


@dataclass(frozen=True, slots=True)
class ColumnCode:
    """Generates the code of a column: read, clean, convert, look up in the crosswalk."""

    mapping: Mapping
    zone: ZoneInfo

    def function(self, column: Column) -> Make:
        """Return a function: resource -> the column's value."""
        reader = Reader()
        lines, names = self.statements(column, reader)
        return build("value_of", ARGUMENTS, [*reader.lines, *lines, "return value"], names | reader.names)

    def statements(self, column: Column, reader: Reader, suffix: str = "") -> tuple[list[str], dict[str, Any]]:
        """Return the statements that set the variable `value` to the column's value, and the names that they use."""
        names: dict[str, Any] = {}
        if column.concept:
            names[f"concept{suffix}"] = self.concept(column)
            found = reader.all(column.steps)
            lines = [f"value = concept{suffix}({found}, unmapped) if {found} else None"]
            lines += self.cleaning(column.clean, names, suffix)
        elif column.type == "reference":
            names[f"record{suffix}"] = self.record(column)
            found = reader.all(column.steps)
            lines = [f"value = record{suffix}({found}, warned) if {found} else None"]
        else:
            lines = [f"value = {reader.value(column.steps)}"]
            lines += self.cleaning(column.clean, names, suffix)
        if column.fallback is not None:
            lines.append("if value is None:")
            inner = reader.inside(f"f{suffix}_")
            found = f"value = {inner.value(column.fallback.steps)}"
            fallback = [*inner.lines, found]
            names |= inner.names
            if column.fallback.take:
                names[f"take{suffix}"] = TAKES[column.fallback.take]
                fallback.append(f"if type(value) is str: value = take{suffix}(value)")
            fallback += self.cleaning(() if column.concept else column.clean, names, f"f{suffix}")
            if column.concept and column.crosswalk:
                fallback.append(f"if type(value) is str: value = concept{suffix}({{'text': value}}, unmapped)")
            lines += [f"    {line}" for line in fallback]
        if not column.concept and column.type != "reference":
            lines += self.converting(column, names, suffix)
        if column.crosswalk and not column.concept:
            names[f"crosswalk{suffix}"], names["look_up"] = self.mapping.crosswalks[column.crosswalk], look_up
            lines.append(f"if value is not None: value = look_up(crosswalk{suffix}, value, unmapped)")
        return lines, names

    def cleaning(self, cleaners: tuple[str, ...], names: dict[str, Any], suffix: str) -> list[str]:
        lines = []
        for at, cleaner in enumerate(cleaners):
            names[f"clean{at}{suffix}"] = CLEANERS[cleaner]
            lines.append(f"if type(value) is str: value = clean{at}{suffix}(value)")
        return lines

    def converting(self, column: Column, names: dict[str, Any], suffix: str) -> list[str]:
        lines = []
        dated = column.type in ("date", "datetime")
        if column.null_if:
            words = (word.capitalize() if column.type == "boolean" else word for word in column.null_if)
            names[f"nothing{suffix}"] = frozenset(words)
            # A null date can have the time and offset of the practice: compare only its day.
            text = "str(value)[:10]" if dated else "str(value)"
            lines.append(f"if value is not None and {text} in nothing{suffix}: value = None")
        convert = names[f"convert{suffix}"] = converter(column.type, self.zone)
        if dated:
            names[f"convert{suffix}"] = _dated(column, convert)
            lines.append(f"if value is not None: value = convert{suffix}(value, warned)")
            return lines
        # A text that is not empty needs no conversion.
        unless = " and (type(value) is not str or not value)" if column.type == "string" else ""
        lines.append(f"if value is not None{unless}: value = convert{suffix}(value)")
        return lines

    def concept(self, column: Column) -> Callable[[Any, Unmapped], str | None]:
        """Return the function that converts the found concepts to the column's value."""
        if column.crosswalk is None:
            return reading_words(column.null_if, column.several)
        crosswalk = self.mapping.crosswalks[column.crosswalk]
        return reading_all(crosswalk, column.several) if column.several else reading(crosswalk)

    def record(self, column: Column) -> Callable[[Any, Warned], str | None]:
        """Return the function that converts the found references to the column's value.

        If none fits, it raises Unusable for a required column and adds a warning for any other.
        """
        find, cleaners = record_in(column.to, self.mapping.base_url), [CLEANERS[name] for name in column.clean]

        def record(found: Any, warned: Warned) -> str | None:
            if cleaners:
                found = [_cleaned(one, cleaners) for one in (found if type(found) is list else [found])]
            try:
                value: str | None = find(found)
            except Unusable as error:
                if column.required:
                    raise
                warned.append(Problem(column.name, error.rule, error.reason))
                return None
            return value

        return record


def _cleaned(value: Any, cleaners: list[Any]) -> Any:
    for clean in cleaners:
        value = clean(value) if type(value) is str else value
    return value


def _dated(column: Column, convert: Converter) -> Callable[[Any, Warned], str | None]:
    """Return `convert` for dates: a null date gives None; so does a partial date, with a warning, unless required."""

    def dated(value: Any, warned: Warned) -> str | None:
        if type(value) is str and is_null_date(value):
            return None
        try:
            found: str = convert(value)
            return found
        except Unusable as error:
            if column.required or error.rule not in SOFT:
                raise
            warned.append(Problem(column.name, error.rule, error.reason))
            return None

    return dated


def look_up(crosswalk: Crosswalk, code: str, unmapped: Unmapped) -> str | None:
    """Return the CRM's value for a plain code; for one that is not listed, apply the crosswalk's policy."""
    value = crosswalk.values.get(code)
    if value is not None:
        return value
    unmapped.append((crosswalk.name, code))
    if crosswalk.unmapped == "reject":
        raise Unusable("unmapped code", f"the crosswalk {crosswalk.name} does not have the code")
    return crosswalk.default if crosswalk.unmapped == "default" else code
