"""The patients that the next push would send, and the reasons for those that it would not."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.state import conflicts
from ecw.push import intents
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from ecw.three_way_merge import MergeBase

pytestmark = pytest.mark.both_databases


def push_and_confirm(crm: Any, pushing: Any, **changes: Any) -> tuple[str, str]:
    """Add a patient, push it and read it back."""
    crm_id = crm.add(**changes)
    pushed = push_patient(pushing(), crm_id)
    assert confirm(pushing(), crm_id).complete
    return crm_id, pushed.ecw_id


def test_the_outbox_has_new_and_changed_patients_only(crm: Any, pushing: Any) -> None:
    same, _ = push_and_confirm(crm, pushing)
    changed, _ = push_and_confirm(crm, pushing, identifier="ACC-2", first_name="Zygmunt", phone="1")
    new = crm.add(identifier="ACC-3", first_name="Tomek", phone="2")
    crm.edit(changed, city="Lawrence")
    found = outbox(pushing())
    assert (found.creates, found.updates, list(found)) == ([new], [changed], [new, changed])
    for crm_id in found:
        push_patient(pushing("r2"), crm_id)
    assert list(outbox(pushing())) == []
    assert same not in found


def test_another_spelling_of_the_same_value_or_an_edit_of_a_pulled_column_is_not_a_change(
    crm: Any, pushing: Any
) -> None:
    crm_id, _ = push_and_confirm(crm, pushing)
    crm.edit(crm_id, phone="(913) 555-2003", city=" Topeka ", gender_identity="as the clinic says")
    assert len(outbox(pushing())) == 0


def test_patients_that_are_not_sent_are_counted_by_reason(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm.add(emr_updates_locked=True)
    refused = crm.add(gender=None)
    push_patient(pushing(), refused)
    push_and_confirm(crm, pushing, first_name="Eva", identifier="ACC-2")
    near = crm.add(first_name="Ewa", identifier="ACC-3")
    assert push_patient(pushing(), near).status == "held"
    by_pull = crm.add(identifier="ACC-4")
    with crm.engine.begin() as connection:
        pushing().patients.link(connection, by_pull, "e.9", MergeBase(), "pull")
        connection.exec_driver_sql("DELETE FROM ecw_merge_base WHERE ecw_id = 'e.9'")
    found = outbox(pushing())
    assert list(found) == []
    assert found.not_sent == {"locked": 1, "refused": 1, "held": 1, "not agreed": 1}
    crm.edit(refused, gender="Female")
    intents.choose(crm.engine, pushing().place, near, intents.NEW, "tester")
    assert outbox(pushing()).creates == [refused, near]


def test_a_patient_with_an_open_conflict_is_due_only_after_the_choice(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = push_and_confirm(crm, pushing)
    [stored] = [each for each in sandbox.records("Patient") if each["id"] == ecw_id]
    sandbox.put(stored | {"birthDate": "1980-01-03"})
    crm.edit(crm_id, birth_date="1980-01-04")
    assert outbox(pushing()).updates == [crm_id]
    assert push_patient(pushing("r2"), crm_id).conflicts == ("birth_date",)
    assert len(outbox(pushing())) == 0
    practice = pushing().place.practice
    conflicts.choose(crm.engine, conflicts.Field(practice, "patient", crm_id, "birth_date"), "crm", "tester")
    assert outbox(pushing()).updates == [crm_id]
    push_patient(pushing("r3"), crm_id)
    assert len(outbox(pushing())) == 0


def test_patients_with_an_unknown_outcome_are_first(sandbox: Any, crm: Any, pushing: Any) -> None:
    new = crm.add()
    lost = crm.add(identifier="ACC-2", first_name="Zygmunt", phone="1")
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(), lost).status == "unknown"
    found = outbox(pushing())
    assert (found.unsettled, list(found)) == ([lost], [lost, new])
