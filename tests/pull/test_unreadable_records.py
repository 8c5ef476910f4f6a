"""One broken record becomes a reject with a reason, and the run loads the others, from pages and from reads."""

import pytest

from include.sandbox.faults.response_faults import BROKEN


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_broken_record_in_a_page_is_rejected_and_the_rest_is_loaded(pull, sandbox, kind):
    total = sandbox.held()["Location"]
    sandbox.fault("break_record", resource="Location", value=kind, times=1)
    assert pull("location")["location"]["inserted"] == total - 1
    (reject,) = pull.rows("SELECT resource, ecw_id, rule, reason FROM ecw_reject")
    assert (reject["resource"], reject["rule"]) == ("location", "unreadable")
    assert reject["ecw_id"] in {record["id"] for record in sandbox.records("Location")}
    sandbox.clear_faults()
    assert pull("location")["location"]["inserted"] == 1  # fixed in eCW: the next run brings it
    assert pull.rows("SELECT count(*) AS n FROM location") == [{"n": total}]


def test_a_broken_record_that_is_read_by_its_id_is_rejected(pull, sandbox):
    one, other, *_ = (record["id"] for record in sandbox.records("Location"))
    sandbox.fault("break_record", interaction="read", resource="Location", times=1)
    run = pull.begin(options={"resources": ["location"], "ids": {"location": [one, other]}})
    numbers = pull.resource(run, "location")
    assert (numbers["fetched"], numbers["rejected"], numbers["inserted"]) == (2, 1, 1)
