"""All steps of a pull as functions, against the sandbox, on both databases."""

from __future__ import annotations

import logging

import pytest

from ecw.errors import EcwError, QualityGateFailed
from ecw.pull import steps
from ecw.resources import RESOURCES
from ecw.staging import batch_file
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = pytest.mark.large_practice

RECORD_COUNTS = {"practitioner": ("Practitioner", 30), "location": ("Location", 12)}


def counts(fetched: int, **others: int) -> dict[str, int]:
    return {"fetched": fetched, "rejected": 0, "inserted": 0, "updated": 0, "unchanged": 0, **others}


@pytest.mark.parametrize("name", RECORD_COUNTS)
def test_every_record_is_loaded_and_linked(pull: Pulling, sandbox: RunningSandbox, name: str) -> None:
    fhir_type, count = RECORD_COUNTS[name]
    ids = {record["id"] for record in sandbox.records(fhir_type)}
    assert len(ids) == count

    assert pull(name) == {name: counts(count, inserted=count)}

    assert {row["ecw_id"] for row in pull.rows(f"SELECT ecw_id FROM {name}")} == ids  # noqa: S608 - names from above
    assert {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM ecw_link")} == ids


def test_a_second_pull_changes_nothing(pull: Pulling) -> None:
    pull()

    assert pull() == {"practitioner": counts(30, unchanged=30), "location": counts(12, unchanged=12)}
    assert pull.batches["location"][1]["count"] == 0, "unchanged records are not mapped"


def test_a_second_full_pull_maps_everything_and_changes_nothing(pull: Pulling) -> None:
    pull("location")

    assert pull("location", full=True) == {"location": counts(12, unchanged=12)}
    assert pull.batches["location"][1]["count"] == 12


def test_a_changed_record_is_one_update(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("location")
    changed = sandbox.records("Location")[3]
    sandbox.put({**changed, "name": "Harbour House"})

    assert pull("location") == {"location": counts(12, updated=1, unchanged=11)}

    assert pull.rows("SELECT ecw_id FROM location WHERE name = 'Harbour House'") == [{"ecw_id": changed["id"]}]


def test_a_new_version_with_the_same_content_is_unchanged(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("location")
    record = sandbox.records("Location")[3]
    assert sandbox.put(record)["meta"]["lastUpdated"] != record["meta"]["lastUpdated"]

    assert pull("location") == {"location": counts(12, unchanged=12)}


def test_a_cleared_run_returns_the_same_counts(pull: Pulling) -> None:
    run = pull.begin()
    first = pull.resource(run, "location")

    assert pull.resource(run, "location") == first == counts(12, inserted=12)


def test_a_bad_record_is_rejected_with_rule_and_column_and_the_rest_is_loaded(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    bad = sandbox.records("Practitioner")[7]
    sandbox.put({**bad, "name": [{"use": "usual", "given": ["Nobody"]}]})

    assert pull("practitioner") == {"practitioner": counts(30, rejected=1, inserted=29)}

    assert pull.rows('SELECT ecw_id, step, rule, "column", state FROM ecw_reject') == [
        {
            "ecw_id": bad["id"],
            "step": "check",
            "rule": "expect_column_values_to_not_be_null",
            "column": "last_name",
            "state": "open",
        }
    ]
    assert bad["id"] not in {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM practitioner")}


def test_a_corrected_record_is_loaded_and_its_reject_resolved(pull: Pulling, sandbox: RunningSandbox) -> None:
    good = sandbox.records("Practitioner")[7]
    sandbox.put({**good, "name": [{"use": "usual", "given": ["Nobody"]}]})
    pull("practitioner")
    sandbox.put(good)

    assert pull("practitioner") == {"practitioner": counts(30, inserted=1, unchanged=29)}
    assert pull.rows("SELECT state FROM ecw_reject") == [{"state": "resolved"}]


def test_a_batch_that_breaks_a_rule_too_often_is_not_loaded(pull: Pulling, sandbox: RunningSandbox) -> None:
    """For example a server that no longer returns names: more than half of the practitioners would be rejected."""
    pull("practitioner", "location")
    before = pull.rows("SELECT * FROM practitioner ORDER BY ecw_id")
    for record in sandbox.records("Practitioner"):
        sandbox.put({**record, "name": [{"use": "usual"}]})

    with pytest.raises(
        QualityGateFailed, match=r"30 of 30 rows break the rule expect_column_values_to_not_be_null of last_name"
    ):
        pull("practitioner")

    assert pull.rows("SELECT * FROM practitioner ORDER BY ecw_id") == before
    assert pull.rows("SELECT * FROM ecw_reject") == []


def test_a_list_with_far_fewer_records_than_usual_is_not_loaded(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("location")
    for record in sandbox.records("Location")[5:]:
        sandbox.delete("Location", record["id"])

    with pytest.raises(QualityGateFailed, match="eCW gave 5 records, usual are 12"):
        pull("location")

    run = pull.begin()
    assert len(pull.rows("SELECT id FROM location")) == 12
    assert steps.summary(run)[1]["state"] == "failed", "the earlier run has ended"


def test_a_record_that_two_pages_return_is_loaded_once(pull: Pulling, sandbox: RunningSandbox) -> None:
    sandbox.fault("repeat", resource="Practitioner", nth=2)

    assert pull("practitioner") == {"practitioner": counts(30, inserted=30)}


def test_the_summary_returns_and_logs_a_row_for_each_resource(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bad = sandbox.records("Practitioner")[7]
    sandbox.put({**bad, "name": [{"use": "usual", "given": ["Nobody"]}]})
    run = pull.begin()
    pull.resource(run, "practitioner")
    with pytest.raises(EcwError):
        steps.load({**pull.batches["practitioner"][2], "resource": "location", "path": f"{run['staging']}/no"})

    practitioner, location, *others = steps.summary(run)

    assert practitioner["seconds"] > 0
    assert practitioner | {"seconds": 0} == {
        "resource": "practitioner",
        **counts(30, rejected=1, inserted=29),
        "seconds": 0,
        "calls": 5,  # discovery, token and three pages; `begin` has read /metadata
        "strategy": "list",
        "state": "loaded",
        "completeness": "eCW's own list; known records that it lacks were read; no row waits for a missing record",
        "next": "check the 1 rejects: `ecw status` names the reasons.",
    }
    assert (location["state"], location["fetched"]) == ("failed", None)
    assert location["next"].startswith("CorruptBatch: ")
    assert [row["resource"] for row in others] == ["patient", "insurance", "encounter"]
    assert {row["state"] for row in others} == {"failed"}
    assert {row["next"] for row in others} == {
        "The run ended before this was loaded. Next (data engineer): clear its tasks, or leave it to the next run."
    }
    assert "practitioner  30       1         29" in caplog.text


def test_the_window_begins_where_the_last_run_ended(pull: Pulling) -> None:
    first = pull.begin()
    assert first["window_start"] is None
    for name in RESOURCES:
        pull.resource(first, name)

    pull.run_count += 5  # an outage
    later = pull.begin()
    backfill = pull.begin("backfill")

    assert (later["window_start"], later["window_end"]) == ("2026-11-22T01:00:00+00:00", "2026-11-22T07:00:00+00:00")
    assert (backfill["window_start"], backfill["window_end"]) == (
        "2026-11-22T07:00:00+00:00",
        "2026-11-22T08:00:00+00:00",
    )


def test_an_empty_answer_is_logged(pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture) -> None:
    pull("location")
    sandbox.delete_all("Location")

    extracted = steps.extract(pull.begin(), "location")

    assert (extracted["count"], extracted["fetched"]) == (0, 0)
    assert list(batch_file.read(extracted["path"])) == []
    assert "location: eCW returned no records; the last run fetched 12." in caplog.messages


def test_a_run_that_did_not_begin_has_an_empty_summary(caplog: pytest.LogCaptureFixture) -> None:
    assert steps.summary(None) == []
    assert "the log of `begin` ends with what to do next" in caplog.text
