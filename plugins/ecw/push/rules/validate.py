"""Find the fields that eCW would refuse before a patient is sent: the field, the reason and the next step, no value.

The reference's section 4 lists the required fields.  eCW does not publish the characters of codes 108 and 614, or the
length of code 109: `Limits` has the values that are known to pass, and a practice can widen them (`max_text_length` and
`allowed_characters` in the connection's extra field `push`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ecw.mapping.definition.model import Column
from ecw.mapping.fhirpath.paths import Member
from ecw.mapping.fhirpath.read import reader
from ecw.mapping.transform.person import element_of
from ecw.mapping.transform.to_resource import Composed
from ecw.mapping.transform.to_row import Problem
from ecw.mapping.validation.resource import not_fhir


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of texts: their length and their characters."""

    max_text_length: int = 100
    unsupported: re.Pattern[str] = re.compile(r"[<>{}|^~\\\x00-\x1f\x7f]")
    highest: str = "\uffff"  # emoji, for instance, are beyond it
    allowed_characters: str = ""  # characters that the practice's eCW accepts nevertheless

    def refuses(self, character: str) -> bool:
        """Return True if eCW refuses a character."""
        unsupported = character > self.highest or self.unsupported.match(character) is not None
        return unsupported and character not in self.allowed_characters


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason why a patient cannot be sent.  `field` is the CRM's column, or the FHIR element if no column fits."""

    field: str
    rule: str
    reason: str
    next_step: str


GENDERS = ("male", "female", "unknown")
_FREE_TEXT = ("name", "address", "telecom")


def findings(
    composed: Composed,
    columns: Iterable[Column],
    row: Mapping[str, Any],
    *,
    before: dict[str, Any] | None = None,
    limits: Limits | None = None,
    ids: Mapping[str, Collection[str]] | None = None,
) -> list[Finding]:
    """Return all reasons why a composed patient cannot be sent.

    `row` is the CRM's row of the patient. `before` is eCW's resource, for an update: eCW has accepted its values, so
    only new values are checked.  `ids` are the ids that eCW has, by FHIR type; a type without ids is not checked.
    """
    pushed = tuple(columns)
    result = [_of_mapping(problem) for problem in composed.problems]
    reported = {finding.field for finding in result}
    texts = [column for column in pushed if before is None or column.name in composed.written]
    own_checks = (
        *_new(composed, pushed, before),
        *_texts(texts, row, limits or Limits()),
        *_references(texts, composed, ids or {}),
    )
    result += [finding for finding in own_checks if finding.field not in reported]
    if result:  # the FHIR models would report the same problems again, by element
        return result
    known = not_fhir(before) if before is not None else []
    return [_of_fhir(problem) for problem in not_fhir(composed.resource) if problem not in known]


def _new(composed: Composed, columns: tuple[Column, ...], before: dict[str, Any] | None) -> Iterator[Finding]:
    """Yield the required fields that the patient lacks; for an update, only those that the push itself causes.

    eCW accepts its own gaps: a name that is not `usual`, or a gender that it refuses in a create.
    """
    already = set() if before is None else {finding.field for finding in _required(before, columns)}
    for finding in _required(composed.resource, columns):
        if finding.field not in already or finding.field in composed.written:
            yield finding


def _required(patient: dict[str, Any], columns: tuple[Column, ...]) -> Iterator[Finding]:
    identifiers = patient.get("identifier") or []
    if not any(each.get("system") and each.get("value") for each in identifiers):
        yield _lacks(columns, "identifier", "value", "give the patient an EMR identifier, such as an account number.")
    names = [name for name in patient.get("name") or [] if name.get("use", "usual") == "usual"]
    if not any(name.get("family") for name in names) and not _has_name(patient, columns, "family"):
        yield _lacks(columns, "name", "family", "fill in the last name.")
    if not any(any(name.get("given") or []) for name in names) and not _has_name(patient, columns, "given"):
        yield _lacks(columns, "name", "given", "fill in the first name.")
    if patient.get("gender") not in GENDERS:
        field = _column(columns, "gender", "gender")
        next_step = f"choose {', '.join(GENDERS[:-1])} or {GENDERS[-1]}: eCW takes no other."
        reason = "eCW does not take this gender" if patient.get("gender") else "it is empty, and eCW needs it"
        yield Finding(field, "required", reason, next_step)
    yield from _birth_date(patient.get("birthDate"), _column(columns, "birthDate", "birthDate"))


def _has_name(patient: dict[str, Any], columns: tuple[Column, ...], part: str) -> bool:
    """Return True if the name that the columns fill has that part, whatever its `use`."""
    name = _column(columns, "name", part)
    column = next((column for column in columns if column.name == name), None)
    try:
        return column is not None and bool(reader(column.steps)(patient))
    except (AttributeError, TypeError):  # a name of another shape has no parts
        return False


def _birth_date(born: Any, field: str) -> Iterator[Finding]:
    if not born:
        yield Finding(field, "required", "it is empty, and eCW needs it", "fill in the date of birth.")
        return
    try:
        day = date.fromisoformat(str(born))
    except ValueError:
        yield Finding(field, "date", "it is not a day of the calendar", "correct the date of birth.")
        return
    # One day of tolerance, because it may already be tomorrow in the patient's time zone.
    if day > (datetime.now(UTC) + timedelta(days=1)).date():
        yield Finding(field, "date", "it is in the future", "correct the date of birth.")


def _texts(columns: Iterable[Column], row: Mapping[str, Any], limits: Limits) -> Iterator[Finding]:
    for column in columns:
        value = row.get(column.name)
        if column.type != "string" or not isinstance(value, str) or element_of(column.steps) not in _FREE_TEXT:
            continue
        if len(value) > limits.max_text_length:
            reason = f"it has {len(value)} characters, eCW takes {limits.max_text_length}"
            yield Finding(column.name, "length", reason, "shorten it in the CRM.")
        elif any(limits.refuses(character) for character in value):
            reason = "it holds a character that eCW does not take, such as < > | ^ ~ \\ or an emoji"
            yield Finding(column.name, "characters", reason, "write it without that character.")


def _references(columns: Iterable[Column], composed: Composed, ids: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    for column in columns:
        if column.type != "reference" or column.name not in composed.written:
            continue
        kind, _, ecw_id = str(reader(column.steps)(composed.resource) or "").partition("/")
        if ids.get(kind) and ecw_id and ecw_id not in ids[kind]:
            reason = f"eCW has no such {kind.lower()} among those that were pulled"
            next_step = f"choose one that eCW has; the crosswalk `{column.crosswalk or kind.lower()}` maps it."
            yield Finding(column.name, "reference", reason, next_step)


def _of_mapping(problem: Problem) -> Finding:
    next_step = "correct the value in the CRM."
    if problem.rule in ("unmapped value", "reference"):
        next_step = "add a line for the value to the crosswalk, or choose another value in the CRM."
    return Finding(problem.column or "record", problem.rule, problem.reason, next_step)


def _of_fhir(problem: Problem) -> Finding:
    element, _, reason = problem.reason.partition(": ")
    return Finding(element, problem.rule, reason, "correct the value in the CRM, or the column's path in the mapping.")


def _lacks(columns: tuple[Column, ...], element: str, part: str, next_step: str) -> Finding:
    return Finding(_column(columns, element, part), "required", "it is empty, and eCW needs it", next_step)


def _column(columns: tuple[Column, ...], element: str, part: str) -> str:
    """Return the column that fills a part of an element, or the element itself if no column does."""
    of_element = [column for column in columns if element_of(column.steps) == element]
    for column in of_element:
        if any(isinstance(step, Member) and step.name == part for step in column.steps):
            return column.name
    return element if element == part else f"{element}.{part}"
