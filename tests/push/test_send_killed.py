"""A task that is killed in the middle of a batch continues with the patients that it has not sent."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from tests.push.names import person

SEND = "import json, sys; from ecw.push import steps; steps.send(json.loads(sys.argv[1]))"


def test_the_retry_of_a_killed_send_creates_the_remaining_patients_once(sandbox: Any, crm: Any, run: Any) -> None:
    run.connection(unknown_outcome_wait_seconds=1.0)
    before = sandbox.held()["Patient"]
    for at in range(30):
        crm.add(**person(at))
    push = run.begin()
    sandbox.fault("latency", interaction="transaction", seconds=0.2)
    with subprocess.Popen([sys.executable, "-c", SEND, json.dumps(push)]) as process:
        end = time.monotonic() + 600
        while sandbox.served("transaction") < 10 and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()
    done = [row["crm_id"] for row in crm.all("ecw_push_item") if row["status"]]
    sent = sandbox.served("transaction")
    assert 0 < len(done) <= sent < 30, "it was killed in the middle"
    assert run.finish(push)["counts"] == {"created": 30}
    assert sandbox.held()["Patient"] == before + 30
    assert len(crm.all("ecw_link")) == 30
    assert sandbox.served("transaction") <= 30 + 8, "patients under way may be sent again after a search"
