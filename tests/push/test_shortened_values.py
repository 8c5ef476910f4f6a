"""eCW shortens or respells a pushed value: the CRM keeps its own value, and the journal records it."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.push.patient.test_push import create_patient, ecw_record, edit_in_ecw

LONG = {"address_line1": "1234 North Long Street, Apartment 5", "city": "Saint Louis", "email": "Ewa@Example.com"}


def shorten(sandbox: Any, ecw_id: str) -> None:
    stored = ecw_record(sandbox, ecw_id)
    address = stored["address"][0] | {"line": ["1234 N LONG ST AP"], "city": "ST. LOUIS"}
    telecom = [
        each | {"value": each["value"].upper()} if each["system"] == "email" else each for each in stored["telecom"]
    ]
    edit_in_ecw(sandbox, ecw_id, address=[address], telecom=telecom)


def learned(crm: Any) -> list[str]:
    return [row["fields"] for row in crm.all("ecw_journal") if row["operation"] == "learn"]


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize("operation", ["create", "update"])
def test_the_crm_keeps_its_values_and_the_journal_records_the_respelled_columns(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, operation: str, read_back: bool
) -> None:
    if operation == "create":
        crm_id = crm.add(**LONG)
        ecw_id = push_patient(pushing(), crm_id).ecw_id
    else:
        crm_id, ecw_id = create_patient(crm, pushing)
        crm.edit(crm_id, **LONG)
        assert push_patient(pushing("r2"), crm_id).status == "updated"
    shorten(sandbox, ecw_id)
    if read_back:
        assert set(confirm(pushing("r2"), crm_id).normalized_fields) >= LONG.keys()
    pull("patient")
    assert {name: crm.row(crm_id)[name] for name in LONG} == LONG
    assert learned(crm) == ["address_line1, city, email"]
    assert list(outbox(pushing())) == []
    pull("patient", full=True)
    assert {name: crm.row(crm_id)[name] for name in LONG} == LONG
    assert len(learned(crm)) == 1, "recorded once"


def test_a_later_edit_of_the_clinic_is_pulled(sandbox: Any, crm: Any, pull: Any, pushing: Any) -> None:
    crm_id = crm.add(**LONG)
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    shorten(sandbox, ecw_id)
    pull("patient")
    address = ecw_record(sandbox, ecw_id)["address"][0]
    edit_in_ecw(sandbox, ecw_id, address=[address | {"line": ["12 Main St"]}])
    pull("patient")
    assert (crm.row(crm_id)["address_line1"], crm.row(crm_id)["city"]) == ("12 Main St", LONG["city"])
