"""Errors of a patient are reported before it is sent, with the CRM's column."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.db.enums import JournalOutcome
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.transform.to_resource import Composer
from ecw.push.rules.bundle import create
from ecw.push.rules.outcome import understand
from ecw.push.rules.validate import Finding, Limits, findings

PATIENT = load_mapping("patient")
COMPOSER = Composer(PATIENT)
ROW: dict[str, Any] = {
    "identifier": "ACC-1",
    "last_name": "Kowalczyk",
    "first_name": "Ewa",
    "birth_date": "1980-01-02",
    "gender": "Female",
    "phone": "9135552003",
    "city": "Łódź",
}


def findings_of(changes: dict[str, Any], **options: Any) -> list[Finding]:
    row = ROW | changes
    return findings(COMPOSER.resource(row), PATIENT.pushed, row, **options)


def test_a_valid_patient_has_no_findings() -> None:
    assert findings_of({}) == []


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"identifier": None}, "identifier", "required"),
        ({"last_name": None}, "last_name", "required"),
        ({"first_name": None}, "first_name", "required"),
        ({"gender": None}, "gender", "required"),
        ({"gender": "Other"}, "gender", "required"),
        ({"gender": "female "}, "gender", "unmapped value"),
        ({"birth_date": None}, "birth_date", "required"),
        ({"birth_date": "1980-02-30"}, "birth_date", "date"),
        ({"birth_date": "1980"}, "birth_date", "partial date"),
        ({"birth_date": "2999-01-01"}, "birth_date", "date"),
        ({"city": "<Topeka>"}, "city", "characters"),
        ({"first_name": "Ewa\u0007"}, "first_name", "characters"),
        ({"last_name": "Kowalczyk \U0001f600"}, "last_name", "characters"),
        ({"address_line1": "x" * 101}, "address_line1", "length"),
        ({"default_location": "The clinic around the corner"}, "default_location", "reference"),
        ({"marital_status": "It is complicated"}, "marital_status", "unmapped value"),
    ],
)
def test_each_error_names_column_and_rule_and_not_the_value(changes: dict[str, Any], field: str, rule: str) -> None:
    [finding] = findings_of(changes)
    assert (finding.field, finding.rule) == (field, rule)
    assert finding.next_step.endswith(".")
    for value in changes.values():
        assert value is None or str(value) not in finding.reason + finding.next_step


def test_all_errors_are_reported_at_once() -> None:
    found = findings_of({"identifier": None, "first_name": None, "birth_date": None, "gender": None, "city": "^"})
    assert {finding.field for finding in found} == {"identifier", "first_name", "birth_date", "gender", "city"}


def test_a_practice_can_raise_the_limits() -> None:
    assert findings_of({"city": "x" * 150}, limits=Limits(max_text_length=200)) == []


def test_an_update_is_checked_only_for_the_elements_that_it_changes() -> None:
    existing = COMPOSER.resource(ROW | {"city": "<Topeka>"}).resource | {"id": "p.1", "telecom": [{"rank": "first"}]}
    composed = COMPOSER.resource(ROW | {"city": None, "phone": None, "last_name": "Nowak"}, into=existing)
    assert findings(composed, PATIENT.pushed, ROW, before=existing) == []
    assert [each.field for each in findings(composed, PATIENT.pushed, {"city": "<Topeka>"})] == ["city"]


def test_an_update_may_not_clear_a_required_column() -> None:
    existing = COMPOSER.resource(ROW).resource | {"id": "p.1"}
    composed = COMPOSER.resource({}, into=existing, clear=["first_name"])
    assert [each.field for each in findings(composed, PATIENT.pushed, {}, before=existing)] == ["first_name"]


OFFICIAL = {"name": [{"use": "official", "family": "Kowalczyk", "given": ["Ewa"]}]}
EXISTING = {
    "an official name (Synthea)": OFFICIAL,
    "a gender that a create may not have": {"gender": "other"},
    "no gender": {"gender": None},
    "an identifier without system": {"identifier": [{"value": "ACC-1"}]},
    "no identifier": {"identifier": []},
    "a birth date of a year only": {"birthDate": "1980"},
    "no birth date": {"birthDate": None},
    "a name of text alone": {"name": [{"use": "usual", "text": "Ewa Kowalczyk"}]},
    "a given name only": {"name": [{"use": "usual", "given": ["Ewa"]}]},
    "everything at once": {**OFFICIAL, "gender": "other", "identifier": [{"value": "1"}], "birthDate": "1980-01"},
}


@pytest.mark.parametrize("element", EXISTING.values(), ids=EXISTING)
def test_errors_in_elements_that_an_update_does_not_write_do_not_stop_it(element: dict[str, Any]) -> None:
    existing = COMPOSER.resource(ROW).resource | {"id": "p.1"} | element
    existing = {name: value for name, value in existing.items() if value not in (None, [])}
    composed = COMPOSER.resource({"phone": "9135550000"}, into=existing)

    assert composed.written == ["phone"]
    assert findings(composed, PATIENT.pushed, {"phone": "9135550000"}, before=existing) == []


@pytest.mark.parametrize(
    ("element", "changes", "field"),
    [
        ({"gender": "other"}, {"gender": "Unknown"}, None),
        ({"gender": None}, {"gender": "Other"}, "gender"),
        ({"birthDate": "1980"}, {"birth_date": "2999-01-01"}, "birth_date"),
        ({"birthDate": "1980"}, {"birth_date": "1980-01-03"}, None),
    ],
)
def test_elements_that_an_update_writes_are_checked_whatever_ecw_has(
    element: dict[str, Any], changes: dict[str, Any], field: str | None
) -> None:
    existing = {name: value for name, value in (COMPOSER.resource(ROW).resource | element).items() if value is not None}
    composed = COMPOSER.resource(changes, into=existing | {"id": "p.1"})

    found = findings(composed, PATIENT.pushed, changes, before=existing | {"id": "p.1"})

    assert [finding.field for finding in found] == ([field] if field else [])


@pytest.mark.parametrize("cleared", ["last_name", "first_name", "birth_date", "gender"])
def test_an_update_may_not_clear_any_required_column(cleared: str) -> None:
    existing = COMPOSER.resource(ROW).resource | {"id": "p.1"}
    composed = COMPOSER.resource({}, into=existing, clear=[cleared])

    assert [finding.field for finding in findings(composed, PATIENT.pushed, {}, before=existing)] == [cleared]


def test_an_error_of_the_fhir_models_names_its_element() -> None:
    composed = COMPOSER.resource(ROW)
    composed.resource["telecom"][0]["rank"] = "first"
    [finding] = findings(composed, PATIENT.pushed, ROW)
    assert (finding.field, finding.rule) == ("Patient.telecom[0].rank", "not FHIR")


@pytest.mark.parametrize(
    "changes",
    [
        {"gender": "Other"},
        {"birth_date": None},
        {"first_name": None},
        {"city": "<"},
        {"last_name": "\U0001f600"},
        {"city": "x" * 101},
    ],
)
def test_a_patient_with_findings_is_refused_by_the_sandbox_too(
    sandbox: Any, connect: Any, changes: dict[str, Any]
) -> None:
    answer = connect(sandbox).transact(create(COMPOSER.resource(ROW | changes).resource))
    assert understand(answer).kind is JournalOutcome.FIX_DATA
    assert findings_of(changes)
