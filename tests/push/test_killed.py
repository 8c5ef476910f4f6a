"""Pushes that are killed or run at once: no patient is created or updated twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from tests.fixtures.keys import Keys
from tests.push.names import NAMES
from tests.push.worker import read_line, worker, write_id


@pytest.mark.parametrize("stop", ["before", "after"])
def test_a_push_that_is_killed_before_or_after_the_request_is_done_once(
    crm: Any, crm_url: str, sandbox: Any, keys: Keys, pushing: Any, stop: str
) -> None:
    crm_id, before = crm.add(), sandbox.held()["Patient"]
    with worker(crm_url, sandbox, keys, stop) as process:
        write_id(process, crm_id)
        assert read_line(process) == "here"
        assert push_patient(pushing(), crm_id).status == "busy", "the other worker is still alive"
        process.kill()
    assert intents.unsettled(crm.engine, pushing().place) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == before + 1
    assert sandbox.served("transaction") == 1
    crm.edit(crm_id, city="Lawrence")
    with worker(crm_url, sandbox, keys, stop) as process:
        write_id(process, crm_id)
        assert read_line(process) == "here"
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
            write_id(one, crm_id)
            write_id(two, crm_id)
        statuses = Counter(read_line(process) for process in (one, two) for _ in ids)
    assert set(statuses) <= {"created", "busy", "unchanged"}
    assert statuses["created"] == len(ids)
    assert sandbox.held()["Patient"] == before + len(ids)
    assert sandbox.served("transaction") == len(ids)
