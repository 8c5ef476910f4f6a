"""An update: nothing of it is lost, and nobody's edit is overwritten, whatever happens between reading and sending."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push.outbox import outbox
from ecw.push.send import push_patient
from tests.push.test_send import created, in_ecw


@pytest.mark.parametrize(
    ("column", "value"),
    [("marital_status", "It is complicated"), ("gender", "Nonbinary"), ("default_location", "Main Street")],
)
def test_a_change_that_ecw_has_no_code_for_is_a_reject_and_not_agreed(
    sandbox: Any, crm: Any, pushing: Any, column: str, value: str
) -> None:
    crm_id, ecw_id = created(crm, pushing)
    agreed, stored, before = crm.all("ecw_agreed"), in_ecw(sandbox, ecw_id), crm.row(crm_id)[column]
    crm.edit(crm_id, **{column: value})
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.did, [each.field for each in pushed.findings]) == ("rejected", [column])
    [reject] = crm.all("ecw_reject")
    assert (reject["column"], reject["state"], "crosswalk" in reject["reason"]) == (column, "open", True)
    assert (crm.all("ecw_agreed"), in_ecw(sandbox, ecw_id)) == (agreed, stored)
    assert outbox(pushing()).kept_back == {"refused": 1}
    crm.edit(crm_id, **{column: before}, city="Lawrence")
    assert push_patient(pushing("r3"), crm_id).fields == ("city",)
    assert crm.all("ecw_reject")[0]["state"] == "resolved"
