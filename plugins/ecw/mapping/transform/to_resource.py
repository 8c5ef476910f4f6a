"""Composer: row of the CRM -> FHIR resource, a new one or a copy of eCW's."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ecw.mapping.definition.model import Column, Mapping
from ecw.mapping.fhirpath import companions
from ecw.mapping.fhirpath.clear import clear as take_away
from ecw.mapping.fhirpath.find import Slot, find, slot_of
from ecw.mapping.fhirpath.paths import Choice, Path
from ecw.mapping.fhirpath.write import put, put_each
from ecw.mapping.transform.concepts import Unmapped, is_coding, kept, with_value, written
from ecw.mapping.transform.to_row import NO_MEMBERS, ColumnCode, Problem
from ecw.mapping.values.clean import CLEANERS
from ecw.mapping.values.convert import Unusable, converter, reference, string
from ecw.mapping.vocabulary import is_null_date

UTC = ZoneInfo("UTC")
DATED = ("date", "datetime")


@dataclass(slots=True)
class Composed:
    """The resource, the problems that prevent sending it, CRM values without a crosswalk line, and the written
    columns, in order."""

    resource: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    unmapped: Unmapped = field(default_factory=list)
    written: list[str] = field(default_factory=list)


def cleaned(column: Column, value: Any) -> Any:
    """Return the CRM's value cleaned as by a pull, so that another spelling is not a change; None if it is empty."""
    for name in column.clean if column.crosswalk is None else ():
        value = CLEANERS[name](value) if isinstance(value, str) else value
    if isinstance(value, str) and (not value.strip() or (column.type in DATED and is_null_date(value))):
        return None
    if column.type == "boolean" and value in (0, 1):  # a CRM without booleans stores numbers
        return bool(value)
    return value


class Composer:
    """Writes the pushed columns of one mapping file; `time_zone` as for the Mapper."""

    def __init__(self, mapping: Mapping, *, time_zone: str | None = None) -> None:
        self.mapping = mapping
        self.zone = ZoneInfo(time_zone or mapping.time_zone or "UTC")
        self.columns = mapping.pushed
        code = ColumnCode(mapping, self.zone)
        self.read = {column.name: code.function(column) for column in self.columns}

    def resource(
        self, row: MappingType[str, Any], into: dict[str, Any] | None = None, *, clear: Iterable[str] = ()
    ) -> Composed:
        """Write a row into a copy of the resource `into`, or into a new one.

        A column that is empty, or not in the row, leaves eCW's value; `clear` names the columns to remove in eCW. A
        value that eCW has already, in its own spelling, stays as it is.
        """
        composed = Composed(deepcopy(into) if into is not None else self.new())
        before, filled_paths = companions.Before(composed.resource), []
        for column in self.columns:
            value = self.cleaned(column, row.get(column.name))
            if value is None:
                continue
            filled_paths.append(column.writes)
            if same(column, value, self.present(column, composed.resource)):
                continue
            if _has_more_precise_day(column, value, composed.resource):
                continue
            try:
                self.write(column, value, composed)
                composed.written.append(column.name)
            except Unusable as error:
                composed.problems.append(Problem(column.name, error.rule, error.reason))
            except (AttributeError, TypeError):
                composed.problems.append(Problem(column.name, "not FHIR", NO_MEMBERS))
        to_clear = set(clear)
        for column in reversed(self.columns):
            if column.name in to_clear:
                self.take_away(column, composed.resource)
                composed.written.append(column.name)
        before.agree(filled_paths, [column.writes for column in self.columns])
        return composed

    def new(self) -> dict[str, Any]:
        """Return a new resource without values, with the mapping's meta.profile."""
        resource: dict[str, Any] = {"resourceType": self.mapping.resource}
        if self.mapping.profile:
            resource["meta"] = {"profile": [self.mapping.profile]}
        return resource

    def cleaned(self, column: Column, value: Any) -> Any:
        """Return the CRM's value as a pull would clean it."""
        return cleaned(column, value)

    def present(self, column: Column, resource: dict[str, Any]) -> Any:
        """Return the column's value in the resource, as a pull would map it; None if it has none."""
        try:
            return self.read[column.name](resource, [], [])
        except (Unusable, AttributeError, TypeError):
            return None

    def write(self, column: Column, value: Any, composed: Composed) -> None:
        if column.concept:
            self.write_concept(column, string(value) or "", composed)
            words = {"%value": value}
        else:
            code, system = self.coded(column, value, composed.unmapped)
            _refuse_less_precise(column.writes, composed.resource)
            put(composed.resource, column.writes, code)
            _update_siblings(column.writes, composed.resource)
            words = {"%value": value, "%code": code, "%system": system}
        for path, text in column.set_with:
            resolved = words.get(text, text)
            if resolved is None:
                take_away(composed.resource, path)
            else:
                put(composed.resource, path, resolved)

    def write_concept(self, column: Column, value: str, composed: Composed) -> None:
        """Write the concept for a value; for a column with several values, only the differences."""
        crosswalk = self.mapping.crosswalks[column.crosswalk or ""]
        coding = is_coding(column.writes)
        wanted = list(dict.fromkeys(value.split(column.several))) if column.several else [value]
        present = []
        if column.several:
            present = [kept(crosswalk, slot.value) for slot in find(composed.resource, column.writes)]
        missing = [each for each in wanted if each not in present]
        for each in missing:
            if each not in crosswalk.codes:
                composed.unmapped.append((crosswalk.name, each))
                raise Unusable("unmapped value", f"the crosswalk {crosswalk.name} has no code for the value")
        if not column.several:
            slot = slot_of(composed.resource, column.writes)
            concept = with_value(slot.value if slot else None, crosswalk, value, coding=coding)
            put(composed.resource, column.writes, concept)
            return
        new = [written(crosswalk, each) for each in missing]
        put_each(
            composed.resource,
            column.writes,
            lambda each: kept(crosswalk, each) in wanted,
            new if coding else [{"coding": [each], "text": each["display"]} for each in new],
        )

    def take_away(self, column: Column, resource: dict[str, Any]) -> None:
        """Remove a column's value and its `set_with` values, unless another value needs them."""
        if column.several:
            put_each(resource, column.writes, lambda _: False, [])
        else:
            take_away(resource, column.writes)
        for path, _ in column.set_with:
            slot = slot_of(resource, path)
            if slot is None:
                continue
            rest = _remaining_text(slot)
            if rest:
                slot.holder[slot.key] = rest
            else:
                take_away(resource, path)

    def coded(self, column: Column, value: Any, unmapped: Unmapped) -> tuple[Any, str | None]:
        """Return a CRM value as its FHIR value, and the system of its code, if it has one."""
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
        # With `keep`, the CRM may hold an eCW reference, which eCW knows; a CRM text is not a valid code for eCW.
        if crosswalk.unmapped == "keep" and column.type == "reference":
            return reference(value), None
        raise Unusable("unmapped value", f"the crosswalk {crosswalk.name} has no code for the value")


def same(column: Column, value: Any, present: Any) -> bool:
    """Return True if the CRM's value equals eCW's; of several values, in any order."""
    if column.several and isinstance(value, str) and isinstance(present, str):
        return set(value.split(column.several)) == set(present.split(column.several))
    return bool(value == present)


def _other_types(path: Path, resource: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a polymorphic element in other types than the path's, by JSON key."""
    last = path[-1]
    if not isinstance(last, Choice) or last.type is None:
        return {}
    holder = next((slot.value for slot in find(resource, path[:-1])), None)
    keys = set(Choice(last.name, None).keys) - set(last.keys)
    return {key: holder[key] for key in sorted(keys & holder.keys())} if isinstance(holder, dict) else {}


def _is_day(key: str, value: Any) -> bool:
    return key.endswith(("Date", "DateTime", "Instant")) and isinstance(value, str) and not is_null_date(value)


def _has_more_precise_day(column: Column, value: Any, resource: dict[str, Any]) -> bool:
    """Return True if eCW has a day and the CRM only `true`: the day is more precise."""
    return value is True and any(_is_day(*other) for other in _other_types(column.writes, resource).items())


def _refuse_less_precise(path: Path, resource: dict[str, Any]) -> None:
    """Raise Unusable if a primitive would replace a value that eCW has in a more precise type."""
    last = path[-1]
    if not isinstance(last, Choice) or last.type is None or not last.type[0].islower():
        return
    for key, value in _other_types(path, resource).items():
        if isinstance(value, dict) or (last.type in ("string", "code") and _is_day(key, value)):
            reason = f"eCW has it as {key}, more precise than {last.keys[0]}: write to that, or clear it in eCW"
            raise Unusable("less precise type", reason)


def _update_siblings(path: Path, resource: dict[str, Any]) -> None:
    """Remove the elements beside a reference or a code that describe the previous one."""
    slot = slot_of(resource, path)
    if slot is None or not isinstance(slot.holder, dict):
        return
    if slot.key == "reference":
        companions.same_record(slot.holder, slot.value)
    elif slot.key == "code" and slot.above and slot.above.above and slot.above.above.key == "coding":
        companions.one_coding(slot)


def _remaining_text(slot: Slot) -> str | None:
    """Return the text of an extension after one of its parts was removed; US Core requires the text for the others."""
    item = slot.above
    if item is None or not isinstance(item.holder, list):
        return None
    codings = [each.get("valueCoding") for each in item.holder if isinstance(each, dict)]
    words = [coding.get("display") or coding.get("code") for coding in codings if isinstance(coding, dict)]
    return "; ".join(word for word in words if word) or None
