"""Readback: eCW's spelling of a pushed value is learned, and no edit of either side is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.push import steps
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.push.patient.test_push import ecw_record, edit_in_ecw
from tests.push.test_rules import MARITAL


def edit_during_read(client: Any, edit: Callable[[], None]) -> None:
    read = client.read

    def reading(*arguments: Any) -> Any:
        record = read(*arguments)
        edit()
        return record

    client.read = reading


@pytest.mark.parametrize(("column", "value"), [("marital_status", "Divorced"), ("city", "Lawrence")])
def test_an_edit_of_the_crm_during_the_readback_is_not_overwritten(
    sandbox: Any, crm: Any, pushing: Any, column: str, value: str
) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    edit_in_ecw(sandbox, ecw_id, maritalStatus={"coding": [{"system": MARITAL, "code": "M"}]})
    run = pushing("r2")
    edit_during_read(run.client, lambda: crm.edit(crm_id, **{column: value}))
    assert confirm(run, crm_id).seen
    assert crm.row(crm_id)[column] == value
    assert list(outbox(pushing())) == [crm_id]
    pushed = push_patient(pushing("r3"), crm_id)
    if column == "city":
        assert (pushed.fields, crm.all("ecw_conflict")) == (("city",), [])
        assert crm.row(crm_id)["marital_status"] == "Married", "the empty column was filled"
    else:
        [conflict] = crm.all("ecw_conflict")
        assert (conflict["column"], conflict["crm_value"], conflict["emr_value"]) == (column, '"Divorced"', '"Married"')


def test_a_row_that_is_deleted_during_the_readback_is_not_confirmed(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    push_patient(pushing(), crm_id)
    run = pushing("r2")

    def delete() -> None:
        with crm.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM patient")

    edit_during_read(run.client, delete)
    assert not confirm(run, crm_id).seen


@pytest.mark.parametrize("kind", ["merge", "ignore"])
def test_a_change_that_ecw_accepted_and_does_not_show_is_reported(
    sandbox: Any, crm: Any, run: Any, pull: Any, pushing: Any, kind: str
) -> None:
    crm_id = crm.add()
    run()
    ecw_id, before = crm.row(crm_id)["ecw_id"], ecw_record(sandbox, crm.row(crm_id)["ecw_id"])
    if kind == "merge":
        sandbox.set(update_mode="merge")  # elements that the request omits stay
        column, value = "phone", None
    else:
        sandbox.fault(
            "write_code", interaction="transaction", value="1", times=1
        )  # eCW answers with success and does nothing
        column, value = "city", "Lawrence"
    crm.edit(crm_id, **{column: value})
    push = run.begin()
    steps.send(push)
    assert not confirm(pushing(), crm_id, last=False).seen
    assert crm.all("ecw_reject") == [], "eCW may only be slow"
    steps.confirm(push)
    table = steps.summary(push)
    assert (table["counts"], table["confirmed"]) == ({"updated": 1}, {"not taken": 1})
    [shown] = table["shown"]
    assert (shown["crm_id"], column in shown["reason"], "by hand" in shown["next_step"]) == (crm_id, True, True)
    [reject] = crm.all("ecw_reject")
    assert (reject["column"], reject["rule"], reject["state"]) == (column, "not taken", "open")
    assert ecw_record(sandbox, ecw_id)["telecom"] == before["telecom"]
    pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
    assert (crm.row(crm_id)[column], list(outbox(pushing()))) == (value, []), "neither side is overwritten"
    crm.edit(crm_id, **{column: {"phone": "9135552003", "city": "Topeka"}[column]})
    assert run(patients=[crm_id])["counts"] == {"unchanged": 1}
    assert [row["state"] for row in crm.all("ecw_reject")] == ["resolved"]


def test_a_patient_that_was_only_linked_is_read_back_once(sandbox: Any, crm: Any, run: Any) -> None:
    crm.add()
    run()
    with crm.engine.begin() as connection:
        for table in ("patient", "ecw_link", "ecw_merge_base", "ecw_intent"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
    crm.add()
    push = run.begin()
    steps.send(push)
    reads = sandbox.served("read")
    steps.confirm(push)
    table = steps.summary(push)
    assert (table["counts"], table["confirmed"]) == ({"linked": 1}, {"seen": 1}), "the pull brings the account number"
    assert sandbox.served("read") == reads + 1
