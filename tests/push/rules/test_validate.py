"""What is wrong with a patient is reported before it is sent, by the CRM's column."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.transform.to_resource import Composer
from ecw.push.rules.bundle import create
from ecw.push.rules.outcome import Kind, understand
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


def of(changes: dict[str, Any], **options: Any) -> list[Finding]:
    row = ROW | changes
    return findings(COMPOSER.resource(row), PATIENT.pushed, row, **options)


def test_a_good_patient_has_none() -> None:
    assert of({}) == []


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
def test_each_mistake_is_named(changes: dict[str, Any], field: str, rule: str) -> None:
    [finding] = of(changes)
    assert (finding.field, finding.rule) == (field, rule)
    assert finding.next_step.endswith(".")
    for value in changes.values():
        assert value is None or str(value) not in finding.reason + finding.next_step


def test_every_mistake_is_reported_at_once() -> None:
    found = of({"identifier": None, "first_name": None, "birth_date": None, "gender": None, "city": "^"})
    assert {finding.field for finding in found} == {"identifier", "first_name", "birth_date", "gender", "city"}


def test_a_practice_can_widen_the_limits() -> None:
    assert of({"city": "x" * 150}, limits=Limits(max_text_length=200)) == []


def test_an_update_is_judged_by_what_it_changes() -> None:
    held = COMPOSER.resource(ROW | {"city": "<Topeka>"}).resource | {"id": "p.1", "telecom": [{"rank": "first"}]}
    composed = COMPOSER.resource(ROW | {"city": None, "phone": None, "last_name": "Nowak"}, into=held)
    assert findings(composed, PATIENT.pushed, ROW, before=held) == []
    assert [each.field for each in findings(composed, PATIENT.pushed, {"city": "<Topeka>"})] == ["city"]


def test_an_update_may_not_take_away_what_ecw_needs() -> None:
    held = COMPOSER.resource(ROW).resource | {"id": "p.1"}
    composed = COMPOSER.resource({}, into=held, clear=["first_name"])
    assert [each.field for each in findings(composed, PATIENT.pushed, {}, before=held)] == ["first_name"]


OFFICIAL = {"name": [{"use": "official", "family": "Kowalczyk", "given": ["Ewa"]}]}
HELD = {
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


@pytest.mark.parametrize("element", HELD.values(), ids=HELD)
def test_an_update_is_not_kept_back_by_what_it_does_not_write(element: dict[str, Any]) -> None:
    held = COMPOSER.resource(ROW).resource | {"id": "p.1"} | element
    held = {name: value for name, value in held.items() if value not in (None, [])}
    composed = COMPOSER.resource({"phone": "9135550000"}, into=held)

    assert composed.written == ["phone"]
    assert findings(composed, PATIENT.pushed, {"phone": "9135550000"}, before=held) == []


@pytest.mark.parametrize(
    ("element", "changes", "field"),
    [
        ({"gender": "other"}, {"gender": "Unknown"}, None),
        ({"gender": None}, {"gender": "Other"}, "gender"),
        ({"birthDate": "1980"}, {"birth_date": "2999-01-01"}, "birth_date"),
        ({"birthDate": "1980"}, {"birth_date": "1980-01-03"}, None),
    ],
)
def test_what_an_update_writes_is_judged_whatever_ecw_held(
    element: dict[str, Any], changes: dict[str, Any], field: str | None
) -> None:
    held = {name: value for name, value in (COMPOSER.resource(ROW).resource | element).items() if value is not None}
    composed = COMPOSER.resource(changes, into=held | {"id": "p.1"})

    found = findings(composed, PATIENT.pushed, changes, before=held | {"id": "p.1"})

    assert [finding.field for finding in found] == ([field] if field else [])


@pytest.mark.parametrize("cleared", ["last_name", "first_name", "birth_date", "gender"])
def test_an_update_may_not_take_away_what_it_needs_from_any_kind_of_name(cleared: str) -> None:
    held = COMPOSER.resource(ROW).resource | {"id": "p.1"}
    composed = COMPOSER.resource({}, into=held, clear=[cleared])

    assert [finding.field for finding in findings(composed, PATIENT.pushed, {}, before=held)] == [cleared]


def test_what_the_models_refuse_is_named_by_its_element() -> None:
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
def test_what_we_refuse_the_server_would_refuse(sandbox: Any, connect: Any, changes: dict[str, Any]) -> None:
    answer = connect(sandbox).transact(create(COMPOSER.resource(ROW | changes).resource))
    assert understand(answer).kind is Kind.FIX_DATA
    assert of(changes)
