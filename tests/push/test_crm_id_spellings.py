"""Several spellings of one CRM id mean one patient: one claim, one intent, one create."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Uuid

from ecw.crm.db.business_table import BusinessTable, Mapped
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.settings.push import PushOptions
from tests.push.patient.test_push import INITIAL_PATIENTS


@pytest.mark.parametrize("spelling", ["0{}", "+{}", " {} ", "000{}"])
def test_another_spelling_of_an_id_is_the_same_patient(sandbox: Any, crm: Any, pushing: Any, spelling: str) -> None:
    crm_id = crm.add()
    other = spelling.format(crm_id)
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(unknown_outcome_wait_seconds=600), other).crm_id == crm_id
    assert push_patient(pushing("r2", unknown_outcome_wait_seconds=600), crm_id).status == "unknown", (
        "the intent of the other spelling"
    )
    assert {row["crm_id"] for row in crm.all("ecw_intent")} == {crm_id}
    assert push_patient(pushing("r3"), other).status in ("created", "linked", "updated")
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1
    assert [link["crm_id"] for link in crm.all("ecw_link")] == [crm_id]
    assert confirm(pushing("r3"), other).seen


@pytest.mark.parametrize("invalid", ["1_0", "١", "0x1", "1.0", "9" * 30, "", "one"])
def test_an_invalid_id_is_missing(crm: Any, pushing: Any, invalid: str) -> None:
    crm.add()
    assert push_patient(pushing(), invalid).status == "missing"


def test_a_form_that_names_one_patient_twice_plans_it_once(crm: Any, pushing: Any) -> None:
    from ecw.push.plan.select import choose

    crm_id = crm.add()
    side = pushing()
    selection = choose(side, PushOptions(patients=[crm_id, f"0{crm_id}", f"crm:+{crm_id}"]))
    assert [one.crm_id for one in selection.planned] == [crm_id]


UUID = "0b4c3f6e-6d2c-4a54-9a5e-2f6a5c1d7e10"


@pytest.mark.parametrize("spelling", [UUID, UUID.upper(), f"{{{UUID}}}", UUID.replace("-", "")])
def test_a_uuid_has_one_spelling(spelling: str) -> None:
    key = Column("id", Uuid, primary_key=True)
    target = BusinessTable(Mapped("patient", "ecw_id", (), ""), Table("patient", MetaData(), key), key, {}, {})
    assert str(target.key_of(spelling)) == UUID
