"""Rejected records that are corrected in eCW to the version that the CRM has, or deleted."""

from __future__ import annotations

import pytest

from ecw.pull import steps
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.replay.test_steps import OPEN, counts, remove_family_name, run_replay


@pytest.mark.large_practice
def test_a_record_that_is_corrected_to_its_loaded_version_is_no_longer_rejected(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    good = sandbox.records("Practitioner")[7]
    pull("practitioner")
    before = pull.rows("SELECT * FROM practitioner ORDER BY id")
    ecw_id = remove_family_name(sandbox, 7)
    assert pull("practitioner")["practitioner"]["rejected"] == 1
    assert [reject["ecw_id"] for reject in pull.rows(OPEN)] == [ecw_id]

    sandbox.put(good)
    numbers = pull("practitioner")["practitioner"]
    assert (numbers["rejected"], numbers["unchanged"]) == (0, numbers["fetched"])
    assert pull.rows(OPEN) == []
    assert run_replay(pull) == {}
    assert pull.rows("SELECT * FROM practitioner ORDER BY id") == before


def test_a_slow_run_does_not_load_a_version_that_was_undone_meanwhile(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("location")
    before = pull.rows("SELECT * FROM location ORDER BY id")
    record = sandbox.records("Location")[3]
    sandbox.put({**record, "name": "A slip"})
    slow = steps.extract(pull.begin("backfill"), "location")
    sandbox.put(record)
    live = pull("location")["location"]
    assert live["unchanged"] == live["fetched"]
    assert steps.load(steps.check(steps.map(slow)))["updated"] == 0
    assert pull.rows("SELECT * FROM location ORDER BY id") == before


@pytest.mark.parametrize(("resource", "fhir_type"), [("practitioner", "Practitioner"), ("patient", "Patient")])
@pytest.mark.large_practice
def test_a_rejected_record_that_was_deleted_in_ecw_is_not_replayed(
    pull: Pulling, sandbox: RunningSandbox, resource: str, fhir_type: str
) -> None:
    record = sandbox.records(fhir_type)[7]
    wrong = {"birthDate": "1850-01-01"} if resource == "patient" else {"name": [{"use": "usual", "given": ["Nobody"]}]}
    sandbox.put({**record, **wrong})
    assert pull(resource)[resource]["rejected"] == 1
    sandbox.delete(fhir_type, record["id"])
    assert pull(resource)[resource]["rejected"] == 1
    assert pull.rows(OPEN) == [{"resource": resource, "ecw_id": record["id"], "rule": "deleted"}]
    assert run_replay(pull) == {resource: counts(0)}
    assert pull(resource)[resource]["rejected"] == 0, "a deleted record is read once"
