"""Codes after which a create is sent once more, if eCW still does not have the patient."""

from __future__ import annotations

from typing import Any

from ecw.push.patient.push import push_patient
from tests.push.patient.test_push import INITIAL_PATIENTS


def test_an_attempt_is_in_the_journal_even_if_the_search_after_it_failed(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, run = crm.add(), pushing()
    sandbox.fault("write_code", interaction="transaction", value="103", times=1)
    transact = run.client.transact

    def transacting(*request: Any, **options: Any) -> Any:
        answer = transact(*request, **options)
        sandbox.fault("server_error", interaction="search")
        return answer

    run.client.transact = transacting
    assert push_patient(run, crm_id).status == "later"
    assert crm.journal() == [("create", "retry once"), ("read", "try again later")]
    sandbox.reset()
    sandbox.set(quota=0)
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1
