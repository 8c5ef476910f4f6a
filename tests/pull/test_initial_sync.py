"""An initial sync of the insurance over several runs, and the VOB requests after it."""

from __future__ import annotations

import pytest

from ecw.errors import EcwError
from ecw.staging import batch_file
from ecw.vob.steps import open_vob
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

SMALL = {"max_concurrency": 1, "initial_sync_minutes": 1}  # 17 patients

pytestmark = [on_sqlite, pytest.mark.large_practice]


def insurance(pull: Pulling, **options: object) -> set[str]:
    """Pull the insurance; return the ids of the queried patients."""
    run = pull.begin(options={"resources": ["insurance"], **options})
    pull.resource(run, "insurance")
    batch = pull.batches["insurance"][-1]
    queried = {line["patient"] for line in batch_file.read(batch["queried"])}
    assert len(queried) == batch["patients_queried"]
    return queried


def open_requests(pull: Pulling) -> dict[str, int]:
    return open_vob("", "ecw_test", "crm_test", "no_webhook")


def test_the_initial_sync_of_a_patient_opens_no_request_in_any_run(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("practitioner", "location", "patient")
    first = insurance(pull, **SMALL)
    known = {record["id"] for record in sandbox.records("Patient")}
    assert 0 < len(first) < len(known) / 2
    due = "SELECT count(*) AS n FROM ecw_initial_sync WHERE run_id IS NULL"
    assert pull.rows(due) == [{"n": len(known - first)}]

    policies = sandbox.records("Coverage")
    fetched = next(p for p in policies if p["beneficiary"]["reference"].rpartition("/")[2] in first)
    patient = fetched["beneficiary"]["reference"].rpartition("/")[2]
    sandbox.put({**fetched, "id": "x" * 43, "subscriberId": "1"})
    assert insurance(pull, full=True) >= known

    assert pull.rows(due) == [{"n": 0}]
    counts = open_requests(pull)
    assert counts == {"opened": 1, "include_initial_sync": len(policies), "too_many": 0}
    assert pull.rows("SELECT patient_ecw_id, change FROM vob_request") == [{"patient_ecw_id": patient, "change": "new"}]


def test_the_retry_of_an_extraction_lists_the_patients_that_both_attempts_queried(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("patient")
    run = pull.begin(options={"resources": ["insurance"], **SMALL})
    sandbox.fault("gone", resource="Coverage", nth=9)
    with pytest.raises(EcwError):
        pull.resource(run, "insurance")
    pull.resource(run, "insurance")
    batch = pull.batches["insurance"][-1]
    assert batch["patients_queried"] == len({line["patient"] for line in batch_file.read(batch["queried"])}) == 17
