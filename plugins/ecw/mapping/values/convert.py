"""Converters, one per column type: a JSON value of FHIR -> the JSON value of a row, or Unusable with the reason.

Reasons name the rule and never the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from ecw.mapping.values.references import record_of

Converter = Callable[[Any], Any]
NO_RECORD = "the reference does not name a record as FhirType/id"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_PARTIAL = re.compile(r"\d{4}(-\d{2})?\Z")


class Unusable(ValueError):
    """A value that does not fit its column; `rule` is a short name, `reason` a sentence without values."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule = rule
        self.reason = reason
        super().__init__(reason)


def string(value: Any) -> str | None:
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value)
    raise Unusable("type", f"a text is expected, not {kind(value)}")


def code(value: Any) -> str | None:
    return string(value.strip() if type(value) is str else value)


def boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise Unusable("type", f"true or false is expected, not {kind(value)}")


def integer(value: Any) -> int:
    if type(value) is int:
        return value
    raise Unusable("type", f"a whole number is expected, not {kind(value)}")


def decimal(value: Any) -> float | int:
    if type(value) is float or type(value) is int:
        return value
    raise Unusable("type", f"a number is expected, not {kind(value)}")


def reference(value: Any) -> str:
    """Return the `FhirType/eCW-id` of a reference, without its base and version."""
    found = record_of(value)
    if found is None:
        raise Unusable("reference", NO_RECORD)
    return found


def record_in(kinds: Sequence[str], base_url: str | None = None) -> Converter:
    """Return the converter of references to the first record of these FHIR types (of any, if `kinds` is empty)."""
    allowed = frozenset(kinds)
    only = f"no reference names a {' or '.join(kinds)} as FhirType/id" if kinds else NO_RECORD

    def convert(value: Any) -> str | None:
        found = value if type(value) is list else (value,)
        for one in found:
            record = record_of(one, base_url)
            if record is not None and (not allowed or record.partition("/")[0] in allowed):
                return record
        if any(one is not None for one in found):
            raise Unusable("reference", only)
        return None

    return convert


def date_in(zone: ZoneInfo) -> Converter:
    """Return the converter to a day; a moment becomes its day in that zone."""

    def convert(value: Any) -> str:
        if type(value) is str and _DATE.match(value):
            try:
                return date.fromisoformat(value).isoformat()
            except ValueError:
                raise Unusable("date", "not a day of the calendar") from None
        return _moment(value, zone, zone, "a day").date().isoformat()

    return convert


def datetime_in(zone: ZoneInfo) -> Converter:
    """Return the converter to a moment in UTC; a time without offset, and a day, are in that zone."""

    def convert(value: Any) -> str:
        return _moment(value, zone, UTC, "a date and time").isoformat()

    return convert


def _moment(value: Any, zone: ZoneInfo, to: tzinfo, expected: str) -> datetime:
    """Return a FHIR date or dateTime as a time in `to`; without an offset it is in `zone`."""
    if type(value) is not str:
        raise Unusable("type", f"{expected} is expected, not {kind(value)}")
    if _PARTIAL.match(value):
        raise Unusable("partial date", f"{expected} is expected, not a year{' and month' if len(value) > 4 else ''}")
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(to)
    except (ValueError, OverflowError):
        raise Unusable("date", f"{expected} is expected, not another text") from None


def kind(value: Any) -> str:
    """Return the name of a JSON value's type, for a message."""
    names = {dict: "an element with members", list: "a list", bool: "true or false", str: "a text", int: "a number"}
    return names.get(type(value), "a number")


def converter(type_name: str, zone: ZoneInfo) -> Converter:
    """Return the converter for a type of the vocabulary."""
    if type_name == "date":
        return date_in(zone)
    if type_name == "datetime":
        return datetime_in(zone)
    return {
        "string": string,
        "code": code,
        "boolean": boolean,
        "integer": integer,
        "decimal": decimal,
        "concept": string,
        "reference": reference,
    }[type_name]
