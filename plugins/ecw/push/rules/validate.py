"""What eCW will not take, found before it is sent: the field, the reason and the next move, never the value.

What a patient needs is the reference's section 4.  Which characters codes 108 and 614 mean, and from what length on
code 109 comes, eCW does not publish: `Limits` holds what is known to pass, and a practice can widen it
(`max_text_length` and `allowed_characters` in the connection's extra field `push`).
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
    """What texts may be: how long, and without which characters."""

    max_text_length: int = 100
    unsupported: re.Pattern[str] = re.compile(r"[<>{}|^~\\\x00-\x1f\x7f]")
    highest: str = "\uffff"  # emoji and the like lie beyond
    allowed_characters: str = ""  # characters that the practice's eCW takes all the same

    def refuses(self, character: str) -> bool:
        """Return True if eCW does not take a character."""
        strange = character > self.highest or self.unsupported.match(character) is not None
        return strange and character not in self.allowed_characters


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a patient cannot be sent.  `field` is the CRM's column, or the FHIR element where no column is at fault."""

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
    """Return everything that keeps a composed patient from being sent.

    `row` is the CRM's row that it was composed of, `before` the resource that eCW has, of an update: what it holds
    already it has taken, so only what is new is judged.  `ids` are those that eCW has, by FHIR type; where there
    are none of a type, they are not known.
    """
    pushed = tuple(columns)
    found = [_of_mapping(problem) for problem in composed.problems]
    reported = {finding.field for finding in found}
    texts = [column for column in pushed if before is None or column.name in composed.written]
    needed = (
        *_new(composed, pushed, before),
        *_texts(texts, row, limits or Limits()),
        *_references(texts, composed, ids or {}),
    )
    found += [finding for finding in needed if finding.field not in reported]
    if found:  # the models would only say the same again, of the element
        return found
    known = not_fhir(before) if before is not None else []
    return [_of_fhir(problem) for problem in not_fhir(composed.resource) if problem not in known]


def _new(composed: Composed, columns: tuple[Column, ...], before: dict[str, Any] | None) -> Iterator[Finding]:
    """Yield what the patient lacks; of an update, what the push itself writes badly or takes away.

    What eCW lacked before, it has taken like that: a name that is not `usual`, a gender that it refuses in a create.
    """
    held = set() if before is None else {finding.field for finding in _required(before, columns)}
    for finding in _required(composed.resource, columns):
        if finding.field not in held or finding.field in composed.written:
            yield finding


def _required(patient: dict[str, Any], columns: tuple[Column, ...]) -> Iterator[Finding]:
    identifiers = patient.get("identifier") or []
    if not any(each.get("system") and each.get("value") for each in identifiers):
        yield _lacks(columns, "identifier", "value", "give the patient an EMR identifier: an account number will do.")
    names = [name for name in patient.get("name") or [] if name.get("use", "usual") == "usual"]
    if not any(name.get("family") for name in names) and not _says(patient, columns, "family"):
        yield _lacks(columns, "name", "family", "fill in the last name.")
    if not any(any(name.get("given") or []) for name in names) and not _says(patient, columns, "given"):
        yield _lacks(columns, "name", "given", "fill in the first name.")
    if patient.get("gender") not in GENDERS:
        field = _column(columns, "gender", "gender")
        move = f"choose {', '.join(GENDERS[:-1])} or {GENDERS[-1]}: eCW takes no other."
        reason = "eCW does not take this gender" if patient.get("gender") else "it is empty, and eCW needs it"
        yield Finding(field, "required", reason, move)
    yield from _birth_date(patient.get("birthDate"), _column(columns, "birthDate", "birthDate"))


def _says(patient: dict[str, Any], columns: tuple[Column, ...], part: str) -> bool:
    """Return True if the name that the columns write to has that part, whatever its `use`."""
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
    # It may be tomorrow already where the patient was born.
    if day > (datetime.now(UTC) + timedelta(days=1)).date():
        yield Finding(field, "date", "it lies in the future", "correct the date of birth.")


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
            move = f"choose one that eCW has; the crosswalk `{column.crosswalk or kind.lower()}` maps it."
            yield Finding(column.name, "reference", reason, move)


def _of_mapping(problem: Problem) -> Finding:
    move = "correct the value in the CRM."
    if problem.rule in ("unmapped value", "reference"):
        move = "add a line for the value to the crosswalk, or choose another value in the CRM."
    return Finding(problem.column or "record", problem.rule, problem.reason, move)


def _of_fhir(problem: Problem) -> Finding:
    element, _, reason = problem.reason.partition(": ")
    return Finding(element, problem.rule, reason, "correct the value in the CRM, or the column's path in the mapping.")


def _lacks(columns: tuple[Column, ...], element: str, part: str, move: str) -> Finding:
    return Finding(_column(columns, element, part), "required", "it is empty, and eCW needs it", move)


def _column(columns: tuple[Column, ...], element: str, part: str) -> str:
    """Name the column that fills a part of an element, else the element itself."""
    of_element = [column for column in columns if element_of(column.steps) == element]
    for column in of_element:
        if any(isinstance(step, Member) and step.name == part for step in column.steps):
            return column.name
    return element if element == part else f"{element}.{part}"
