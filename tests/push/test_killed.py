"""Pushes that are killed, and that meet: none is done twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from tests.fixtures.keys import Keys
from tests.push.names import NAMES
from tests.push.worker import says, tell, worker


@pytest.mark.parametrize("stop", ["before", "after"])
def test_a_push_that_is_killed_around_the_request_is_done_once(
    crm: Any, crm_url: str, sandbox: Any, keys: Keys, pushing: Any, stop: str
) -> None:
    crm_id, before = crm.add(), sandbox.held()["Patient"]
    with worker(crm_url, sandbox, keys, stop) as process:
        tell(process, crm_id)
        assert says(process) == "here"
        assert push_patient(pushing(), crm_id).status == "busy", "the other one is still alive"
        process.kill()
    assert intents.unsettled(crm.engine, pushing().place) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == before + 1
    assert sandbox.served("transaction") == 1
    crm.edit(crm_id, city="Lawrence")
    with worker(crm_url, sandbox, keys, stop) as process:
        tell(process, crm_id)
        assert says(process) == "here"
        process.kill()
    assert push_patient(pushing("r3"), crm_id).status == ("updated" if stop == "before" else "unchanged")
    assert intents.unsettled(crm.engine, pushing().place) == []
    assert len(crm.all("ecw_link")) == 1


def test_two_processes_that_push_the_same_patients_create_each_once(
    crm: Any, crm_url: str, sandbox: Any, keys: Keys
) -> None:
    before = sandbox.held()["Patient"]
    ids = [crm.add(identifier=f"ACC-{at}", last_name=name, phone=None) for at, name in enumerate(NAMES[:8])]
    with worker(crm_url, sandbox, keys) as one, worker(crm_url, sandbox, keys) as two:
        for crm_id in ids:
            tell(one, crm_id)
            tell(two, crm_id)
        told = Counter(says(process) for process in (one, two) for _ in ids)
    assert set(told) <= {"created", "busy", "unchanged"}
    assert told["created"] == len(ids)
    assert sandbox.held()["Patient"] == before + len(ids)
    assert sandbox.served("transaction") == len(ids)
