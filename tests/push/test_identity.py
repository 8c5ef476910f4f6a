"""A linked row, or a chart, that now describes another person: nothing is written until a person decides."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.errors import ConfigurationError
from ecw.push import intents
from ecw.push.decide_identity import same_person, unlink
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox
from tests.push.patient.test_push import create_patient, ecw_record, edit_in_ecw, phone_of

ANOTHER_PERSON: dict[str, Any] = {
    "first_name": "Bartosz",
    "last_name": "Lindqvist",
    "birth_date": "1999-09-09",
    "gender": "Male",
    "phone": "7855550000",
}
TWIN: dict[str, Any] = {"first_name": "Bartosz", "gender": "Male"}


def held_intents(crm: Any, pushing: Any) -> dict[str, intents.Intent]:
    return dict(intents.held(crm.engine, pushing().place))


@pytest.mark.parametrize(
    "edit",
    [
        ANOTHER_PERSON,
        {"first_name": "Zofia", "birth_date": "1985-06-07"},
        {"last_name": "Nowak", "birth_date": "1985-06-07"},
        TWIN,
        {"first_name": "Zofia"},
        {"birth_date": "2010-02-03", "suffix": "Jr", "phone": "7855550000", "city": "Hays"},
        {"first_name": None, "last_name": None},
    ],
)
def test_a_row_that_is_reused_for_another_person_is_held(sandbox: Any, crm: Any, pushing: Any, edit: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    before = ecw_record(sandbox, ecw_id)
    crm.edit(crm_id, **edit)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.outcome.message) == (
        "held",
        "Held (identity): the CRM's row now describes somebody else",
    )
    assert ecw_record(sandbox, ecw_id) == before
    assert held_intents(crm, pushing)[crm_id].candidates == (ecw_id,)
    assert outbox(pushing()).not_sent == {"held": 1}


@pytest.mark.parametrize(
    "edit",
    [
        {"first_name": "Eva"},
        {"last_name": "Nowak"},
        {"last_name": "Nowak-Kowalczyk", "phone": "7855550000"},
        {"birth_date": "1980-02-01"},
        {"birth_date": "1975-12-31"},
        {"gender": "Male"},
        {"last_name": "Ewa", "first_name": "Kowalczyk"},
        {"middle_name": "Anna"},
        {"middle_name": "Anna", "city": "Hays", "phone": "7855550000"},
    ],
)
def test_one_correction_or_a_new_family_name_is_pushed(sandbox: Any, crm: Any, pushing: Any, edit: Any) -> None:
    crm_id, _ = create_patient(crm, pushing)
    crm.edit(crm_id, **edit)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, set(pushed.fields)) == ("updated", set(edit))


def test_the_first_name_of_a_newborn_is_pushed(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, _ = create_patient(crm, pushing, first_name="BabyGirl", birth_date="2026-11-01")
    crm.edit(crm_id, first_name="Sofia")
    assert push_patient(pushing("r2"), crm_id).fields == ("first_name",)


def test_a_new_row_with_the_key_of_a_deleted_row_is_held(sandbox: Any, crm: Any, pushing: Any) -> None:
    """SQLite without AUTOINCREMENT and a restored sequence reuse keys; the new patient may be a twin of the former."""
    crm_id, ecw_id = create_patient(crm, pushing)
    before = ecw_record(sandbox, ecw_id)
    with crm.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM patient")
    assert crm.add(id=int(crm_id), first_name="Eva", identifier="ACC-2") == crm_id
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert ecw_record(sandbox, ecw_id) == before


def test_a_chart_that_the_clinic_reuses_for_another_person_is_held(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    name = {"use": "usual", "family": "Lindqvist", "given": ["Bartosz"]}
    edit_in_ecw(sandbox, ecw_id, name=[name], birthDate="1999-09-09")
    before = ecw_record(sandbox, ecw_id)
    crm.edit(crm_id, phone="7855550000")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.outcome.message) == (
        "held",
        "Held (identity): eCW's chart now describes somebody else",
    )
    assert ecw_record(sandbox, ecw_id) == before


def test_a_row_that_names_another_ecw_id_than_its_link_is_held(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    other, _ = create_patient(
        crm, pushing, identifier="ACC-2", last_name="Lindqvist", first_name="Bo", phone="7855550000"
    )
    crm.edit(crm_id, ecw_id=crm.row(other)["ecw_id"], city="Hays")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Topeka"


def test_a_pull_does_not_write_into_a_row_that_was_reused_for_another_person(
    sandbox: Any, crm: Any, pushing: Any, pull: Any
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, **ANOTHER_PERSON)
    edit_in_ecw(sandbox, ecw_id, address=[{"use": "home", "line": ["1 New Street"], "city": "Wichita"}])
    row = crm.row(crm_id)
    pull("patient")
    assert crm.row(crm_id) == row
    [reject] = [each for each in crm.all("ecw_reject") if each["ecw_id"] == ecw_id]
    assert (reject["step"], reject["rule"], reject["state"]) == ("load", "another person", "open")
    assert "ecw matches" in reject["reason"]
    assert held_intents(crm, pushing)[crm_id].candidates == (ecw_id,)
    original = {"first_name": "Ewa", "last_name": "Kowalczyk", "birth_date": "1980-01-02", "gender": "Female"}
    crm.edit(crm_id, **original)
    pull("patient")
    assert (crm.row(crm_id)["city"], held_intents(crm, pushing)) == ("Wichita", {})
    [reject] = [each for each in crm.all("ecw_reject") if each["ecw_id"] == ecw_id]
    assert reject["state"] == "resolved"


def test_a_pull_does_not_link_a_typed_ecw_id_of_another_person(sandbox: Any, crm: Any, pushing: Any, pull: Any) -> None:
    other_patient = next(one for one in sandbox.records("Patient") if one.get("telecom"))
    crm_id = crm.add(ecw_id=other_patient["id"])
    row = crm.row(crm_id)
    pull("patient")
    assert crm.row(crm_id) == row
    assert other_patient["id"] not in {link["ecw_id"] for link in crm.all("ecw_link")}
    assert held_intents(crm, pushing)[crm_id].candidates == (other_patient["id"],)


def test_a_pull_links_an_unconfirmed_create_only_to_a_certain_match(
    sandbox: Any, crm: Any, pushing: Any, pull: Any
) -> None:
    sandbox.fault("server_error", interaction="transaction", times=1)
    crm_id = crm.add(first_name="Maria", middle_name="Jose")
    assert push_patient(pushing(unknown_outcome_wait_seconds=600), crm_id).status == "unknown"
    name = {"use": "usual", "family": "Kowalczyk", "given": ["Maria", "Fernanda"]}
    phone = {"system": "phone", "use": "home", "value": "9135552003"}
    sister = {"id": "e.1", "name": [name], "birthDate": "1980-01-02", "gender": "female", "telecom": [phone]}
    sandbox.put({"resourceType": "Patient", **sister})
    pull("patient")
    assert crm.row(crm_id)["ecw_id"] is None
    assert "e.1" not in {link["ecw_id"] for link in crm.all("ecw_link")}
    [reject] = [each for each in crm.all("ecw_reject") if each["ecw_id"] == "e.1"]
    assert (reject["rule"], reject["state"]) == ("unconfirmed create", "open")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    assert push_patient(pushing("r3"), crm_id).status == "created"
    pull("patient")
    assert "e.1" in {link["ecw_id"] for link in crm.all("ecw_link")}
    assert phone_of(ecw_record(sandbox, "e.1")) == "9135552003"


@pytest.mark.parametrize("shared", ["phone", "email", "address_line1"])
@pytest.mark.parametrize("residents", [3, 6])
def test_a_contact_that_many_residents_share_does_not_make_a_match_certain(
    sandbox: Any, crm: Any, pushing: Any, shared: str, residents: int
) -> None:
    """A group home has one phone, mailbox and street, and two Eva Kowalczyks of one birth date may live there."""
    house = {"phone": "7855550100", "email": "desk@house.org", "address_line1": "77 Elm Street"}
    for number in range(residents):
        crm.add(first_name=f"Resident {number}", identifier=f"R-{number}", **house)
    no_contacts: dict[str, Any] = {"phone": None, "email": None, "address_line1": None}
    crm_id = crm.add(**no_contacts | {shared: house[shared]}, identifier="ACC-9")
    telecom = [
        {"system": "phone", "use": "home", "value": house["phone"]},
        {"system": "email", "use": "home", "value": house["email"]},
    ]
    chart = {"birthDate": "1980-01-02", "telecom": telecom, "address": [{"use": "home", "line": ["77 Elm Street"]}]}
    name = {"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}
    sandbox.put({"resourceType": "Patient", "id": "e.1", "gender": "female", "name": [name], **chart})
    pushed = push_patient(pushing(), crm_id)
    if residents == 3:
        assert crm.row(crm_id)["ecw_id"] == "e.1"
    else:
        assert (pushed.status, crm.row(crm_id)["ecw_id"]) == ("held", None)
        assert "nothing beyond the name and the birth date agrees" in pushed.outcome.message


def decide(side: Any, crm_id: str, emr: Any) -> None:
    same_person(side, crm_id, side.mapper.row(emr).row, "ada")


@pytest.mark.parametrize("edit", [ANOTHER_PERSON, TWIN])
def test_after_the_decision_same_person_the_edit_is_pushed(
    sandbox: Any, crm: Any, pushing: Any, pull: Any, edit: Any
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, **edit)
    push_patient(pushing("r2"), crm_id)
    decide(pushing(), crm_id, ecw_record(sandbox, ecw_id))
    pushed = push_patient(pushing("r3"), crm_id)
    assert (pushed.status, set(pushed.fields)) == ("updated", set(edit))
    assert ecw_record(sandbox, ecw_id)["name"][0]["given"] == ["Bartosz"]
    pull("patient")
    assert crm.row(crm_id)["first_name"] == "Bartosz"
    assert held_intents(crm, pushing) == {}
    assert ("same person", "done") in crm.journal()
    crm.edit(crm_id, first_name="Zofia", birth_date="1985-06-07")
    assert push_patient(pushing("r4"), crm_id).status == "held", "the next change of identity is held again"


def test_after_the_decision_same_person_the_chart_is_pulled(sandbox: Any, crm: Any, pushing: Any, pull: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    name = {"use": "usual", "family": "Lindqvist", "given": ["Bartosz"]}
    edit_in_ecw(sandbox, ecw_id, name=[name], birthDate="1999-09-09")
    pull("patient")
    assert crm.row(crm_id)["last_name"] == "Kowalczyk"
    decide(pushing(), crm_id, ecw_record(sandbox, ecw_id))
    pull("patient")
    assert crm.row(crm_id)["last_name"] == "Lindqvist"


def test_after_unlinking_the_row_and_the_chart_are_two_patients(
    sandbox: Any, crm: Any, pushing: Any, pull: Any
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    before = ecw_record(sandbox, ecw_id)
    crm.edit(crm_id, **TWIN)
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert unlink(pushing(), crm_id, "ada") == ecw_id
    assert (crm.row(crm_id)["ecw_id"], crm.row(crm_id)["mr_number"]) == (None, None)
    crm.edit(crm_id, identifier="ACC-2")
    pushed = push_patient(pushing("r3"), crm_id)
    assert (pushed.status, pushed.ecw_id != ecw_id) == ("created", True)
    assert ecw_record(sandbox, ecw_id) == before
    pull("patient")
    links = {link["ecw_id"]: link["crm_id"] for link in crm.all("ecw_link")}
    assert links[pushed.ecw_id] == crm_id
    assert crm.row(links[ecw_id])["first_name"] == "Ewa"
    assert ("unlink", "done") in crm.journal()


def test_a_patient_that_is_not_held_or_not_linked_cannot_be_decided(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    with pytest.raises(ConfigurationError, match="not held"):
        decide(pushing(), crm_id, ecw_record(sandbox, ecw_id))
    unlink(pushing(), crm_id, "ada")
    with pytest.raises(ConfigurationError, match="no link"):
        unlink(pushing(), crm_id, "ada")
