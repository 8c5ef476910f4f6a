"""Composer: a row of the CRM becomes a FHIR resource, a new one or one that eCW has."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ecw.mapping.clean import CLEANERS
from ecw.mapping.compile import NO_MEMBERS, Problem, Unmapped, finisher
from ecw.mapping.convert import Unusable, converter, reference, string
from ecw.mapping.model import Column, Mapping
from ecw.mapping.read import reader
from ecw.mapping.write import clear as take_away
from ecw.mapping.write import put

UTC = ZoneInfo("UTC")


@dataclass(slots=True)
class Composed:
    """The resource, the problems that keep it from being sent, CRM values that no crosswalk line has, and what was
    written: the columns, in order."""

    resource: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    unmapped: Unmapped = field(default_factory=list)
    written: list[str] = field(default_factory=list)


def cleaned(column: Column, value: Any) -> Any:
    """Return the CRM's value as a pull would clean it: another spelling is no change, and an empty text nothing."""
    for name in column.clean if column.crosswalk is None else ():
        value = CLEANERS[name](value) if isinstance(value, str) else value
    return None if isinstance(value, str) and not value.strip() else value


class Composer:
    """Writes the pushed columns of one mapping file; `time_zone` as for the Mapper."""

    def __init__(self, mapping: Mapping, *, time_zone: str | None = None) -> None:
        self.mapping = mapping
        self.zone = ZoneInfo(time_zone or mapping.time_zone or "UTC")
        self.columns = mapping.pushed
        self.read = {column.name: reader(column.steps) for column in self.columns}
        self.finish = {column.name: finisher(column, mapping.crosswalks, self.zone) for column in self.columns}

    def resource(
        self, row: MappingType[str, Any], into: dict[str, Any] | None = None, *, clear: Iterable[str] = ()
    ) -> Composed:
        """Write a row into a copy of a resource, or into a new one.

        A column that is empty, or not in the row, leaves what eCW has; `clear` names the columns to take away there.
        What already says the same in eCW's spelling stays as it is.
        """
        composed = Composed(deepcopy(into) if into is not None else self.new())
        for column in self.columns:
            value = self.cleaned(column, row.get(column.name))
            if value is None or value == self.present(column, composed.resource):
                continue
            try:
                self.write(column, value, composed)
                composed.written.append(column.name)
            except Unusable as error:
                composed.problems.append(Problem(column.name, error.rule, error.reason))
            except (AttributeError, TypeError):
                composed.problems.append(Problem(column.name, "not FHIR", NO_MEMBERS))
        wanted = set(clear)
        for column in reversed(self.columns):
            if column.name in wanted:
                for path in (*(path for path, _ in column.also), column.steps):
                    take_away(composed.resource, path)
                composed.written.append(column.name)
        return composed

    def new(self) -> dict[str, Any]:
        """Return an empty resource, with the profile that it claims."""
        resource: dict[str, Any] = {"resourceType": self.mapping.resource}
        if self.mapping.profile:
            resource["meta"] = {"profile": [self.mapping.profile]}
        return resource

    def cleaned(self, column: Column, value: Any) -> Any:
        """Return the CRM's value as a pull would clean it."""
        return cleaned(column, value)

    def present(self, column: Column, resource: dict[str, Any]) -> Any:
        """Return what a pull would make of the resource for this column."""
        try:
            value = self.read[column.name](resource)
            return None if value is None else self.finish[column.name](value, [])
        except (Unusable, AttributeError, TypeError):
            return None

    def write(self, column: Column, value: Any, composed: Composed) -> None:
        code, system = self.coded(column, value, composed.unmapped)
        put(composed.resource, column.steps, code)
        words = {"%value": value, "%code": code, "%system": system}
        for path, text in column.also:
            said = words.get(text, text)
            if said is None:
                take_away(composed.resource, path)
            else:
                put(composed.resource, path, said)

    def coded(self, column: Column, value: Any, unmapped: Unmapped) -> tuple[Any, str | None]:
        """Return a CRM value as FHIR has it, and the system of its code."""
        if column.type == "datetime":
            moment = datetime.fromisoformat(converter("datetime", UTC)(value))
            return moment.astimezone(self.zone).isoformat(), None
        if column.crosswalk is None:
            return converter(column.type, self.zone)(value), None
        value = string(value)
        crosswalk = self.mapping.crosswalks[column.crosswalk]
        if value in crosswalk.codes:
            code, system = crosswalk.codes[value]
            return code, system or None
        unmapped.append((crosswalk.name, value))
        # A record that was kept under its eCW id is known to eCW; a word of the CRM in the place of a code is not.
        if crosswalk.unmapped == "keep" and column.type == "reference":
            return reference(value), None
        raise Unusable("unmapped value", f"the crosswalk {crosswalk.name} has no code for the value")
