"""The kill switch: asked before every request, also while a call waits for its next attempt."""

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
    """The switch in a person's hand."""

    on = False

    def allowed(self) -> bool:
        return not self.on


@pytest.fixture
def switch() -> Switch:
    return Switch()


def calls(sandbox: Any) -> int:
    return int(sandbox.counts()["total"])


def test_set_before_a_call_s_next_attempt_nothing_more_is_sent(
    sandbox: Any, crm: Any, pushing: Any, switch: Switch
) -> None:
    crm_id = crm.add()
    stopped = pushing(allowed=switch.allowed)
    sandbox.fault("too_many", interaction="transaction", times=1)
    transact = stopped.client.transact

    def refused(*request: Any, **how: Any) -> Any:
        try:
            return transact(*request, **how)
        finally:
            switch.on = True

    stopped.client.transact = refused
    assert push_patient(stopped, crm_id).status == "stopped"
    assert (sandbox.served("transaction", status=429), sandbox.served("transaction")) == (1, 1)
    assert [row["state"] for row in crm.all("ecw_intent")] == ["void"]
    assert push_patient(pushing("r2"), crm_id).status == "created", "it was not sent, so it is not searched for"


def test_set_between_the_two_ways_of_an_update_the_patient_comes_again(
    sandbox: Any, crm: Any, pushing: Any, switch: Switch
) -> None:
    crm_id = crm.add()
    push_patient(pushing(), crm_id)
    confirm(pushing(), crm_id)
    sandbox.set(update_by="url")
    crm.edit(crm_id, city="Lawrence")
    stopped = pushing("r2", allowed=switch.allowed)
    transact = stopped.client.transact

    def once(bundle: Any, **how: Any) -> Any:
        answer = transact(bundle, **how)
        switch.on = True
        return answer

    stopped.client.transact = once
    assert push_patient(stopped, crm_id).status == "stopped"
    assert list(outbox(pushing())) == [crm_id]
    assert push_patient(pushing("r3"), crm_id).status == "updated"


def test_set_during_a_search_what_was_not_known_stays_so(sandbox: Any, crm: Any, pushing: Any, switch: Switch) -> None:
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
def test_a_run_makes_no_call_at_all_and_a_retry_goes_on(
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


def test_nothing_is_read_back_while_it_is_set(
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


def test_the_switch_is_read_anew_at_most_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    allowed = Allowed(Practice(""), clock=lambda: now)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "0")
    assert allowed()
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "yes")
    assert allowed()
    now = 1.0
    assert not allowed()
