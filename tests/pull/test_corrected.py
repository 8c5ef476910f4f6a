"""Records that were refused and are corrected in eCW, back to what the CRM has, or deleted."""

from __future__ import annotations

import pytest

from ecw.pull import steps
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.replay.test_steps import OPEN, again, nameless, numbers


def test_a_record_that_is_corrected_back_leaves_the_quarantine(pull: Pulling, sandbox: RunningSandbox) -> None:
    good = sandbox.records("Practitioner")[7]
    pull("practitioner")
    before = pull.rows("SELECT * FROM practitioner ORDER BY id")
    ecw_id = nameless(sandbox, 7)
    assert pull("practitioner")["practitioner"]["rejected"] == 1
    assert [reject["ecw_id"] for reject in pull.rows(OPEN)] == [ecw_id]

    sandbox.put(good)
    numbers = pull("practitioner")["practitioner"]
    assert (numbers["rejected"], numbers["unchanged"]) == (0, numbers["fetched"])
    assert pull.rows(OPEN) == []
    assert again(pull) == {}
    assert pull.rows("SELECT * FROM practitioner ORDER BY id") == before


def test_a_slow_run_does_not_bring_back_what_was_taken_back_meanwhile(pull: Pulling, sandbox: RunningSandbox) -> None:
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
def test_a_refused_record_that_ecw_has_deleted_is_no_longer_replayed(
    pull: Pulling, sandbox: RunningSandbox, resource: str, fhir_type: str
) -> None:
    record = sandbox.records(fhir_type)[7]
    wrong = {"birthDate": "1850-01-01"} if resource == "patient" else {"name": [{"use": "usual", "given": ["Nobody"]}]}
    sandbox.put({**record, **wrong})
    assert pull(resource)[resource]["rejected"] == 1
    sandbox.delete(fhir_type, record["id"])
    assert pull(resource)[resource]["rejected"] == 1
    assert pull.rows(OPEN) == [{"resource": resource, "ecw_id": record["id"], "rule": "deleted"}]
    assert again(pull) == {resource: numbers(0)}
    assert pull(resource)[resource]["rejected"] == 0, "it is asked for once"
