"""An update: nothing of it is lost, and nobody's edit is overwritten, whatever happens between reading and sending."""

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
from tests.push.patient.test_push import clinic, created, in_ecw


@pytest.mark.parametrize(
    ("column", "value"),
    [("marital_status", "It is complicated"), ("gender", "Nonbinary"), ("default_location", "Main Street")],
)
def test_a_change_that_ecw_has_no_code_for_is_a_reject_and_not_agreed(
    sandbox: Any, crm: Any, pushing: Any, column: str, value: str
) -> None:
    crm_id, ecw_id = created(crm, pushing)
    agreed, stored, before = crm.all("ecw_merge_base"), in_ecw(sandbox, ecw_id), crm.row(crm_id)[column]
    crm.edit(crm_id, **{column: value})
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, [each.field for each in pushed.findings]) == ("rejected", [column])
    [reject] = crm.all("ecw_reject")
    assert (reject["column"], reject["state"], "crosswalk" in reject["reason"]) == (column, "open", True)
    assert (crm.all("ecw_merge_base"), in_ecw(sandbox, ecw_id)) == (agreed, stored)
    assert outbox(pushing()).not_sent == {"refused": 1}
    crm.edit(crm_id, **{column: before}, city="Lawrence")
    assert push_patient(pushing("r3"), crm_id).fields == ("city",)
    assert crm.all("ecw_reject")[0]["state"] == "resolved"


def meanwhile(client: Any, edit: Callable[[], None]) -> list[int]:
    """Let somebody edit after the first attempt of a write; return how many were made."""
    transact, attempts = client.transact, []

    def transacting(*request: Any, **how: Any) -> Any:
        attempts.append(1)
        try:
            return transact(*request, **how)
        finally:
            if len(attempts) == 1:
                edit()

    client.transact = transacting
    return attempts


@pytest.mark.parametrize(("fault", "value"), [("write_code", "103"), ("too_many", ""), ("write_code", "100")])
def test_what_the_clinic_edits_before_a_second_attempt_stays(
    sandbox: Any, crm: Any, pushing: Any, fault: str, value: str
) -> None:
    crm_id, ecw_id = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault(fault, interaction="transaction", value=value, times=1)
    run = pushing("r2")
    mother = [{"name": {"family": "Mother"}}]
    attempts = meanwhile(run.client, lambda: clinic(sandbox, ecw_id, contact=mother, gender="unknown"))
    pushed = push_patient(run, crm_id)
    assert (pushed.status, pushed.fields, len(attempts)) == ("updated", ("city",), 2)
    found = in_ecw(sandbox, ecw_id)
    assert (found["contact"], found["gender"], found["address"][0]["city"]) == (mother, "unknown", "Lawrence")
    assert [outcome for operation, outcome in crm.journal() if operation == "update"][-1] == "done"
    assert len([operation for operation, _ in crm.journal() if operation == "update"]) == 2


@pytest.mark.parametrize(("fault", "value", "tries"), [("write_code", "103", 2), ("too_many", "", 3)])
def test_an_update_that_is_turned_away_again_and_again_comes_later(
    sandbox: Any, crm: Any, pushing: Any, fault: str, value: str, tries: int
) -> None:
    crm_id, _ = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault(fault, interaction="transaction", value=value)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status == "updated", crm.journal().count(("update", pushed.outcome.kind.value))) == (False, tries)
    assert list(outbox(pushing())) == [crm_id]


def test_a_second_attempt_that_has_nothing_left_to_send(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault("write_code", interaction="transaction", value="103", times=1)
    run = pushing("r2")
    address = in_ecw(sandbox, ecw_id)["address"][0]
    attempts = meanwhile(run.client, lambda: clinic(sandbox, ecw_id, address=[address | {"city": "Lawrence"}]))
    assert (push_patient(run, crm_id).status, len(attempts)) == ("unchanged", 1)
    assert list(outbox(pushing())) == []


def test_what_was_read_too_long_ago_is_not_sent(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    waits = iter([0.0, FRESH + 0.2])  # before the reading, before the writing

    class Slow(Unlimited):
        def __call__(self) -> Late:
            wait = next(waits, 0.0)
            time.sleep(wait)
            if wait:
                clinic(sandbox, ecw_id, gender="unknown")
            return super().__call__()

    for purpose in (Purpose.READ, Purpose.WRITE):
        run.client.tokens.token(purpose)
    run.client.transport.permits = Slow()
    assert push_patient(run, crm_id).status == "updated"
    found = in_ecw(sandbox, ecw_id)
    assert (found["gender"], found["address"][0]["city"], next(waits, None)) == ("unknown", "Lawrence", None)
    assert crm.journal()[-2:] == [("update", "try again later"), ("update", "done")]


def test_a_person_who_stops_the_push_between_two_attempts(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, _ = created(crm, pushing)
    sandbox.set(update_by="url")
    crm.edit(crm_id, city="Lawrence")
    served = sandbox.served("transaction")
    run = pushing("r2", allowed=lambda: sandbox.served("transaction") == served)
    assert (push_patient(run, crm_id).status, sandbox.served("transaction")) == ("stopped", served + 1)
    assert list(outbox(pushing())) == [crm_id], "it comes again"
    assert push_patient(pushing("r3"), crm_id).status == "updated"


@pytest.mark.parametrize("new", [True, False])
def test_a_lock_that_is_set_while_ecw_is_asked_is_heeded(sandbox: Any, crm: Any, pushing: Any, new: bool) -> None:
    crm_id = crm.add() if new else created(crm, pushing)[0]
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    served, name = sandbox.served("transaction"), "search" if new else "read"
    asking = getattr(run.client, name)

    def locking(*question: Any, **how: Any) -> Any:
        crm.edit(crm_id, emr_updates_locked=True)
        return asking(*question, **how)

    setattr(run.client, name, locking)
    assert push_patient(run, crm_id).status == "locked"
    assert sandbox.served("transaction") == served
    crm.edit(crm_id, emr_updates_locked=False)
    assert push_patient(pushing("r3"), crm_id).status == ("created" if new else "updated")


def test_a_spelling_of_ecw_s_own_that_was_not_read_back_is_no_edit_of_the_clinic(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add(last_name="O'Neill")  # whose conflicts are held
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    clinic(sandbox, ecw_id, name=[in_ecw(sandbox, ecw_id)["name"][0] | {"family": "ONEILL"}])
    crm.edit(crm_id, last_name="O'Neill-Kowalczyk")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields, pushed.conflicts) == ("updated", ("last_name",), ())
    assert in_ecw(sandbox, ecw_id)["name"][0]["family"] == "O'Neill-Kowalczyk"
