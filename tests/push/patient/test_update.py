"""An update is not lost and overwrites no edit, whatever happens between reading and sending."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from ecw.fhir.auth.tokens import Purpose
from ecw.fhir.transport import Late, Unlimited
from ecw.push.patient.push import push_patient
from ecw.push.patient.sender import FRESH
from ecw.push.plan.outbox import outbox
from tests.push.patient.test_push import create_patient, ecw_record, edit_in_ecw


@pytest.mark.parametrize(
    ("column", "value"),
    [("marital_status", "It is complicated"), ("gender", "Nonbinary"), ("default_location", "Main Street")],
)
def test_a_change_without_a_code_is_a_reject_and_does_not_enter_the_merge_base(
    sandbox: Any, crm: Any, pushing: Any, column: str, value: str
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    merge_base, stored, before = crm.all("ecw_merge_base"), ecw_record(sandbox, ecw_id), crm.row(crm_id)[column]
    crm.edit(crm_id, **{column: value})
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, [each.field for each in pushed.findings]) == ("rejected", [column])
    [reject] = crm.all("ecw_reject")
    assert (reject["column"], reject["state"], "crosswalk" in reject["reason"]) == (column, "open", True)
    assert (crm.all("ecw_merge_base"), ecw_record(sandbox, ecw_id)) == (merge_base, stored)
    assert outbox(pushing()).not_sent == {"refused": 1}
    crm.edit(crm_id, **{column: before}, city="Lawrence")
    assert push_patient(pushing("r3"), crm_id).fields == ("city",)
    assert crm.all("ecw_reject")[0]["state"] == "resolved"


def edit_after_first_attempt(client: Any, edit: Callable[[], None]) -> list[int]:
    """Call `edit` after the first attempt of a write; return a list with one item for each attempt."""
    transact, attempts = client.transact, []

    def transacting(*request: Any, **options: Any) -> Any:
        attempts.append(1)
        try:
            return transact(*request, **options)
        finally:
            if len(attempts) == 1:
                edit()

    client.transact = transacting
    return attempts


@pytest.mark.parametrize(("fault", "value"), [("write_code", "103"), ("too_many", ""), ("write_code", "100")])
def test_an_edit_of_the_clinic_before_the_second_attempt_is_not_overwritten(
    sandbox: Any, crm: Any, pushing: Any, fault: str, value: str
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault(fault, interaction="transaction", value=value, times=1)
    run = pushing("r2")
    mother = [{"name": {"family": "Mother"}}]
    attempts = edit_after_first_attempt(
        run.client, lambda: edit_in_ecw(sandbox, ecw_id, contact=mother, gender="unknown")
    )
    pushed = push_patient(run, crm_id)
    assert (pushed.status, pushed.fields, len(attempts)) == ("updated", ("city",), 2)
    found = ecw_record(sandbox, ecw_id)
    assert (found["contact"], found["gender"], found["address"][0]["city"]) == (mother, "unknown", "Lawrence")
    assert [outcome for operation, outcome in crm.journal() if operation == "update"][-1] == "done"
    assert len([operation for operation, _ in crm.journal() if operation == "update"]) == 2


@pytest.mark.parametrize(("fault", "value", "attempts"), [("write_code", "103", 2), ("too_many", "", 3)])
def test_an_update_that_is_refused_in_every_attempt_stays_due(
    sandbox: Any, crm: Any, pushing: Any, fault: str, value: str, attempts: int
) -> None:
    crm_id, _ = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault(fault, interaction="transaction", value=value)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status == "updated", crm.journal().count(("update", pushed.outcome.kind.value))) == (False, attempts)
    assert list(outbox(pushing())) == [crm_id]


def test_no_second_attempt_is_made_if_nothing_is_left_to_send(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault("write_code", interaction="transaction", value="103", times=1)
    run = pushing("r2")
    address = ecw_record(sandbox, ecw_id)["address"][0]
    attempts = edit_after_first_attempt(
        run.client, lambda: edit_in_ecw(sandbox, ecw_id, address=[address | {"city": "Lawrence"}])
    )
    assert (push_patient(run, crm_id).status, len(attempts)) == ("unchanged", 1)
    assert list(outbox(pushing())) == []


def test_an_update_whose_record_was_read_too_long_ago_is_read_again_before_it_is_sent(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    waits = iter([0.0, FRESH + 0.2])  # before the reading, before the writing

    class Slow(Unlimited):
        def __call__(self) -> Late:
            wait = next(waits, 0.0)
            time.sleep(wait)
            if wait:
                edit_in_ecw(sandbox, ecw_id, gender="unknown")
            return super().__call__()

    for purpose in (Purpose.READ, Purpose.WRITE):
        run.client.tokens.token(purpose)
    run.client.transport.permits = Slow()
    assert push_patient(run, crm_id).status == "updated"
    found = ecw_record(sandbox, ecw_id)
    assert (found["gender"], found["address"][0]["city"], next(waits, None)) == ("unknown", "Lawrence", None)
    assert crm.journal()[-2:] == [("update", "try again later"), ("update", "done")]


def test_the_kill_switch_between_two_attempts_stops_the_second(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, _ = create_patient(crm, pushing)
    sandbox.set(update_by="url")
    crm.edit(crm_id, city="Lawrence")
    served = sandbox.served("transaction")
    run = pushing("r2", allowed=lambda: sandbox.served("transaction") == served)
    assert (push_patient(run, crm_id).status, sandbox.served("transaction")) == ("stopped", served + 1)
    assert list(outbox(pushing())) == [crm_id], "it stays due"
    assert push_patient(pushing("r3"), crm_id).status == "updated"


@pytest.mark.parametrize("new", [True, False])
def test_a_lock_that_is_set_during_the_read_of_ecw_is_respected(
    sandbox: Any, crm: Any, pushing: Any, new: bool
) -> None:
    crm_id = crm.add() if new else create_patient(crm, pushing)[0]
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    served, name = sandbox.served("transaction"), "search" if new else "read"
    original = getattr(run.client, name)

    def locking(*arguments: Any, **options: Any) -> Any:
        crm.edit(crm_id, emr_updates_locked=True)
        return original(*arguments, **options)

    setattr(run.client, name, locking)
    assert push_patient(run, crm_id).status == "locked"
    assert sandbox.served("transaction") == served
    crm.edit(crm_id, emr_updates_locked=False)
    assert push_patient(pushing("r3"), crm_id).status == ("created" if new else "updated")


def test_ecws_spelling_of_a_value_that_was_not_read_back_is_not_an_edit_of_the_clinic(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add(last_name="O'Neill")  # a column whose conflicts stay open
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    edit_in_ecw(sandbox, ecw_id, name=[ecw_record(sandbox, ecw_id)["name"][0] | {"family": "ONEILL"}])
    crm.edit(crm_id, last_name="O'Neill-Kowalczyk")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields, pushed.conflicts) == ("updated", ("last_name",), ())
    assert ecw_record(sandbox, ecw_id)["name"][0]["family"] == "O'Neill-Kowalczyk"
