"""Reading back: what eCW made of a push is learned, and nobody's edit is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.push.confirm import confirm
from ecw.push.outbox import outbox
from ecw.push.send import push_patient
from tests.push.test_rules import MARITAL
from tests.push.test_send import clinic


def while_ecw_is_read(client: Any, edit: Callable[[], None]) -> None:
    read = client.read

    def reading(*question: Any) -> Any:
        found = read(*question)
        edit()
        return found

    client.read = reading


@pytest.mark.parametrize(("column", "value"), [("marital_status", "Divorced"), ("city", "Lawrence")])
def test_what_a_user_of_the_crm_writes_while_ecw_is_read_stays(
    sandbox: Any, crm: Any, pushing: Any, column: str, value: str
) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    clinic(sandbox, ecw_id, maritalStatus={"coding": [{"system": MARITAL, "code": "M"}]})
    run = pushing("r2")
    while_ecw_is_read(run.client, lambda: crm.edit(crm_id, **{column: value}))
    assert confirm(run, crm_id).seen
    assert crm.row(crm_id)[column] == value
    assert list(outbox(pushing())) == [crm_id]
    pushed = push_patient(pushing("r3"), crm_id)
    if column == "city":
        assert (pushed.fields, crm.all("ecw_conflict")) == (("city",), [])
        assert crm.row(crm_id)["marital_status"] == "Married", "a gap was filled"
    else:
        [conflict] = crm.all("ecw_conflict")
        assert (conflict["column"], conflict["crm_value"], conflict["emr_value"]) == (column, '"Divorced"', '"Married"')


def test_a_row_that_goes_while_ecw_is_read(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    push_patient(pushing(), crm_id)
    run = pushing("r2")

    def delete() -> None:
        with crm.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM patient")

    while_ecw_is_read(run.client, delete)
    assert not confirm(run, crm_id).seen
