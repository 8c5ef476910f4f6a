"""One item of a list that the CRM clears: the others keep their places in eCW, and in the CRM after the next pull."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.push.patient.test_push import clinic, created, in_ecw


@pytest.mark.parametrize("read_back", [True, False])
def test_a_cleared_middle_name_and_first_line_move_nothing(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, read_back: bool
) -> None:
    crm_id, ecw_id = created(crm, pushing, middle_name="Maria", address_line1="12 Main Street", address_line2="Apt 4")
    [name, *_] = in_ecw(sandbox, ecw_id)["name"]
    clinic(sandbox, ecw_id, name=[name | {"given": [*name["given"], "Luz"]}])
    pull("patient")
    crm.edit(crm_id, middle_name=None, address_line1=None)
    assert set(push_patient(pushing("r2"), crm_id).fields) == {"middle_name", "address_line1"}
    if read_back:
        assert confirm(pushing("r2"), crm_id).complete
    pull("patient")
    found = in_ecw(sandbox, ecw_id)
    assert (found["name"][0]["given"], found["address"][0]["line"]) == (["Ewa", None, "Luz"], [None, "Apt 4"])
    row = crm.row(crm_id)
    names = ("first_name", "middle_name", "address_line1", "address_line2")
    assert [row[name] for name in names] == ["Ewa", None, None, "Apt 4"]
    assert list(outbox(pushing())) == []
    assert crm.all("ecw_reject") == []
    crm.edit(crm_id, middle_name="Ana")
    assert push_patient(pushing("r3"), crm_id).fields == ("middle_name",)
    assert in_ecw(sandbox, ecw_id)["name"][0]["given"] == ["Ewa", "Ana", "Luz"]
