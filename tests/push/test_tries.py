"""What is tried again, and for how long."""

from __future__ import annotations

from typing import Any

from ecw.push.outbox import outbox
from ecw.push.send import push_patient


def test_an_address_that_takes_no_writes_is_not_held_against_the_patient(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.fault("gone", interaction="transaction")
    crm_id = crm.add()
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.did, pushed.outcome.http) == ("failed", 410)
    assert "base URL" in pushed.outcome.advice
    sandbox.clear_faults()
    assert list(outbox(pushing())) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).did == "created"
