"""The kill switch is read before every request, also while a call waits for its next attempt."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import steps
from ecw.push.kill_switch import Allowed
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from ecw.settings.practice import Practice
from tests.push.names import person


class Switch:
    """A kill switch that the test sets."""

    on = False

    def allowed(self) -> bool:
        return not self.on


@pytest.fixture
def switch() -> Switch:
    return Switch()


def calls(sandbox: Any) -> int:
    return int(sandbox.counts()["total"])


def test_the_switch_set_before_the_next_attempt_of_a_call_stops_it(
    sandbox: Any, crm: Any, pushing: Any, switch: Switch
) -> None:
    crm_id = crm.add()
    stopped = pushing(allowed=switch.allowed)
    sandbox.fault("too_many", interaction="transaction", times=1)
    transact = stopped.client.transact

    def transact_and_stop(*request: Any, **options: Any) -> Any:
        try:
            return transact(*request, **options)
        finally:
            switch.on = True

    stopped.client.transact = transact_and_stop
    assert push_patient(stopped, crm_id).status == "stopped"
    assert (sandbox.served("transaction", status=429), sandbox.served("transaction")) == (1, 1)
    assert [row["state"] for row in crm.all("ecw_intent")] == ["void"]
    assert push_patient(pushing("r2"), crm_id).status == "created", "it was not sent, so no search is needed"


def test_the_switch_set_between_the_two_forms_of_an_update_leaves_the_patient_due(
    sandbox: Any, crm: Any, pushing: Any, switch: Switch
) -> None:
    crm_id = crm.add()
    push_patient(pushing(), crm_id)
    confirm(pushing(), crm_id)
    sandbox.set(update_by="url")
    crm.edit(crm_id, city="Lawrence")
    stopped = pushing("r2", allowed=switch.allowed)
    transact = stopped.client.transact

    def transact_once(bundle: Any, **options: Any) -> Any:
        answer = transact(bundle, **options)
        switch.on = True
        return answer

    stopped.client.transact = transact_once
    assert push_patient(stopped, crm_id).status == "stopped"
    assert list(outbox(pushing())) == [crm_id]
    assert push_patient(pushing("r3"), crm_id).status == "updated"


def test_the_switch_keeps_an_unknown_outcome_unknown_and_makes_no_call(
    sandbox: Any, crm: Any, pushing: Any, switch: Switch
) -> None:
    crm_id = crm.add()
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(), crm_id).status == "unknown"
    stopped = pushing("r2", allowed=switch.allowed)
    switch.on = True
    before = calls(sandbox)
    assert push_patient(stopped, crm_id).status == "stopped"
    assert calls(sandbox) == before
    assert [row["state"] for row in crm.all("ecw_intent")] == ["unknown"]
    assert push_patient(pushing("r3"), crm_id).status == "created"


@pytest.mark.parametrize("dry", [False, True])
def test_a_run_with_the_switch_set_makes_no_call_and_a_retry_without_it_sends(
    sandbox: Any, crm: Any, run: Any, monkeypatch: pytest.MonkeyPatch, dry: bool
) -> None:
    for at in range(3):
        crm.add(**person(at))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "1")
    before = calls(sandbox)
    push = run.begin(dry_run=dry)
    table = run.finish(push)
    assert table["counts"] == {"stopped": 3}
    assert "ecw_push_kill_switch" in table["shown"][0]["reason"]
    assert calls(sandbox) == before
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "off")
    assert run.finish(push)["counts"] == {"created": 3}


def test_no_patient_is_read_back_while_the_switch_is_set(
    sandbox: Any, crm: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.add(**person(0))
    push = run.begin()
    steps.send(push)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "1")
    before = calls(sandbox)
    assert steps.confirm(push) == {}
    assert calls(sandbox) == before
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "0")
    assert steps.confirm(push) == {"complete": 1}


def test_the_switch_is_read_again_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    allowed = Allowed(Practice(""), clock=lambda: now)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "0")
    assert allowed()
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "yes")
    assert allowed()
    now = 1.0
    assert not allowed()
