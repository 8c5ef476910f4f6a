"""Records that the CRM has and eCW's searches did not return are read by id: they have moved, or were deleted."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.db.tables import ecw_link
from ecw.pull.context import PullContext
from ecw.pull.extract import strategies
from ecw.pull.extract.known_ids import KnownIds
from ecw.pull.extract.missing import READ_AT_ONCE, REFUSED_AT_ONCE
from ecw.resources import RESOURCES
from ecw.settings.pull import Options
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_strategies import FixedIds, extract_context, params

pytestmark = pytest.mark.large_practice

FAR = {"start": "2028-01-03T10:00:00-05:00", "end": "2028-01-03T10:30:00-05:00"}


def planned(pull: Pulling, sandbox: RunningSandbox) -> list[dict[str, Any]]:
    """Return eCW's records of the future appointments that the CRM has."""
    loaded = {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM encounter")}
    future = [
        record
        for record in sandbox.records("Encounter")
        if record["id"] in loaded and record["period"]["start"] > "2026-11-23"
    ]
    assert len(future) > 2
    return future


def row_of(pull: Pulling, record: dict[str, Any]) -> dict[str, Any]:
    [row] = [row for row in pull.rows("SELECT * FROM encounter") if row["ecw_id"] == record["id"]]
    return row


def marks(pull: Pulling, resource: str) -> dict[str, str]:
    with pull.crm.connect() as connection:
        marked = ecw_link.select().where(ecw_link.c.resource == resource, ecw_link.c.status.is_not(None))
        return {row["ecw_id"]: row["status"] for row in connection.execute(marked).mappings()}


def test_an_appointment_that_was_moved_beyond_the_window_or_deleted_is_updated_or_marked(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull(*RESOURCES)
    moved, deleted, *_ = planned(pull, sandbox)
    sandbox.put({**moved, "period": FAR})
    sandbox.delete("Encounter", deleted["id"])

    numbers = pull("encounter")["encounter"]

    assert (numbers["updated"], numbers["rejected"]) == (1, 1)
    assert str(row_of(pull, moved)["start_time"]).startswith("2028-01-03")
    assert marks(pull, "encounter") == {deleted["id"]: "deleted"}
    assert row_of(pull, deleted)["emr_status"] == "deleted"


def test_only_missing_records_are_read_and_a_deleted_one_once(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    pull("encounter", "insurance", full=True)
    assert sandbox.served("read", "Encounter") == sandbox.served("read", "Coverage") == 0

    sandbox.delete("Encounter", planned(pull, sandbox)[0]["id"])
    for _ in range(2):
        pull("encounter")

    assert sandbox.served("read", "Encounter") == 1


def test_the_mark_of_a_deleted_appointment_is_removed_when_ecw_returns_it_again(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull(*RESOURCES)
    record = planned(pull, sandbox)[0]
    sandbox.delete("Encounter", record["id"])
    pull("encounter")
    sandbox.put(record)

    pull("encounter")

    assert marks(pull, "encounter") == {}
    assert row_of(pull, record)["emr_status"] is None


def test_a_deleted_insurance_is_marked_when_its_patient_is_queried(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    deleted = sandbox.records("Coverage")[0]["id"]
    sandbox.delete("Coverage", deleted)

    pull("insurance", full=True)

    assert marks(pull, "insurance") == {deleted: "deleted"}


def test_a_pull_of_one_patient_marks_their_deleted_insurance_only(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    deleted, *_, other = sandbox.records("Coverage")
    for policy in (deleted, other):
        sandbox.delete("Coverage", policy["id"])
    patient = deleted["beneficiary"]["reference"].removeprefix("Patient/")
    assert other["beneficiary"] != deleted["beneficiary"]

    run = pull.begin("manual", options={"resources": ["insurance"], "ids": {"patient": [patient]}})
    pull.resource(run, "insurance")

    assert marks(pull, "insurance") == {deleted["id"]: "deleted"}


@on_sqlite
def test_a_merged_patient_is_among_the_merged_ids(pull: Pulling, sandbox: RunningSandbox) -> None:
    merged, other, *_ = sandbox.records("Patient")
    link = {"type": "replaced-by", "other": {"reference": f"Patient/{other['id']}"}}
    sandbox.put({**merged, "active": False, "link": [link]})

    pull("patient")

    assert KnownIds(PullContext.of(pull.begin(), pull.crm, Options())).merged("patient") == {merged["id"]}


def test_a_deleted_location_or_practitioner_is_marked(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("practitioner", "location")
    for name, fhir_type in (("practitioner", "Practitioner"), ("location", "Location")):
        deleted = sandbox.records(fhir_type)[0]["id"]
        sandbox.delete(fhir_type, deleted)

        assert pull(name)[name]["rejected"] == 1
        assert marks(pull, name)[deleted] == "deleted"


def test_last_updated_reads_missing_records_only_in_a_full_scan() -> None:
    for start, reads in ((None, ["b"]), ("2026-11-22T08:00:00+00:00", [])):
        context = extract_context("Patient", FixedIds({"patient": ["a", "b"]}), start)
        walk = strategies.last_updated(context)
        [search] = next(walk)
        assert search.page is not None
        search.page([{"id": "a"}])  # one page, without changes: no second pass
        context.seen.add({"id": "a"}, 0, 0)
        assert [request.ecw_id for requests in walk for request in requests] == reads


def test_an_empty_list_reads_no_record_by_id() -> None:
    [searches] = [
        list(requests)
        for requests in strategies.whole_list(extract_context("Location", FixedIds({"location": ["a", "b"]})))
    ]
    assert params(searches) == [{}]


def test_a_few_missing_records_are_all_read_and_of_many_only_those_that_are_due() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"
    ids = [f"e{number}" for number in range(3 * READ_AT_ONCE)]
    for missing, in_turns in ((ids[:READ_AT_ONCE], False), (ids, True)):
        context = extract_context("Encounter", FixedIds({"practitioner": ["x"]}, linked=missing), *window)
        searches, reads = [list(requests) for requests in strategies.schedule(context)]
        assert len(params(searches)) == 1
        assert (20 < len(reads) < 120) if in_turns else len(reads) == len(missing)


def test_a_few_rejected_records_are_all_read_and_of_many_a_share_within_a_minutes_calls() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"
    for count, least, most in ((REFUSED_AT_ONCE, 10, 10), (600, 20, 120), (9_000, 250, 250)):
        rejected = [f"e{number}" for number in range(count)]
        for name in ("schedule", "per_patient"):
            context = extract_context(
                "Encounter", FixedIds({"practitioner": ["x"]}, rejected=rejected, deleted={"e0"}), *window
            )
            context.seen.add({"id": "e1"}, 0, 0)
            walk = strategies.STRATEGIES[name].rounds
            assert walk is not None
            read = [request.ecw_id for requests in walk(context) for request in requests if request.ecw_id]
            assert min(least, count - 2) <= len(set(read)) == len(read) <= most
            assert not {"e0", "e1"} & set(read), "deleted, and fetched already"


def test_all_of_many_rejected_records_are_read_within_days() -> None:
    rejected = [f"e{number}" for number in range(500)]
    read: set[str | None] = set()
    for day in (22, 23):
        context = extract_context("Encounter", FixedIds(rejected=rejected), end=f"2026-11-{day}T10:00:00+00:00")
        *_, last = strategies.per_patient(context)
        read |= {request.ecw_id for request in last}
    assert read == set(rejected)


@pytest.mark.parametrize(("resource", "fhir_type"), [("encounter", "Encounter"), ("insurance", "Coverage")])
@on_sqlite
def test_a_rejected_record_that_is_deleted_has_only_the_reject_for_its_deletion(
    pull: Pulling, sandbox: RunningSandbox, resource: str, fhir_type: str
) -> None:
    record = next(
        each
        for each in sandbox.records(fhir_type)
        if resource == "insurance" or "2026-11-10" < each["period"]["start"] < "2026-12-20"
    )
    sandbox.put({**record, "status": {"no": "code"}})
    pull("practitioner", "patient", resource)
    rules = f"SELECT rule FROM ecw_reject WHERE ecw_id = '{record['id']}' AND state = 'open'"  # noqa: S608
    assert [row["rule"] for row in pull.rows(rules)] not in ([], ["deleted"])
    sandbox.delete(fhir_type, record["id"])

    pull(resource)

    assert [row["rule"] for row in pull.rows(rules)] == ["deleted"]
