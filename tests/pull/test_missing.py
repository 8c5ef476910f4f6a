"""What the CRM has and eCW's answers do not hold is asked for by its id: moved away, or gone for good."""

from __future__ import annotations

from typing import Any

from ecw.crm.tables import ecw_link
from ecw.pull import strategies
from ecw.resources import RESOURCES
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.test_strategies import Roll, ask, params

FAR = {"start": "2028-01-03T10:00:00-05:00", "end": "2028-01-03T10:30:00-05:00"}


def planned(pull: Pulling, sandbox: RunningSandbox) -> list[dict[str, Any]]:
    """Return the appointments to come that the CRM has, as eCW has them."""
    here = {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM encounter")}
    found = [
        record
        for record in sandbox.records("Encounter")
        if record["id"] in here and record["period"]["start"] > "2026-11-23"
    ]
    assert len(found) > 2
    return found


def row_of(pull: Pulling, record: dict[str, Any]) -> dict[str, Any]:
    [found] = [row for row in pull.rows("SELECT * FROM encounter") if row["ecw_id"] == record["id"]]
    return found


def marks(pull: Pulling, resource: str) -> dict[str, str]:
    with pull.crm.connect() as connection:
        marked = ecw_link.select().where(ecw_link.c.resource == resource, ecw_link.c.status.is_not(None))
        return {row["ecw_id"]: row["status"] for row in connection.execute(marked).mappings()}


def test_an_appointment_moved_beyond_the_window_or_deleted_is_noticed(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    moved, deleted, *_ = planned(pull, sandbox)
    sandbox.put({**moved, "period": FAR})
    sandbox.delete("Encounter", deleted["id"])

    numbers = pull("encounter")["encounter"]

    assert (numbers["updated"], numbers["rejected"]) == (1, 1)
    assert str(row_of(pull, moved)["start_time"]).startswith("2028-01-03")
    assert marks(pull, "encounter") == {deleted["id"]: "vanished"}
    assert row_of(pull, deleted)["emr_status"] == "vanished"


def test_nothing_missing_costs_no_call_and_what_is_gone_is_asked_for_once(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull(*RESOURCES)
    pull("encounter", "insurance", full=True)
    assert sandbox.served("read", "Encounter") == sandbox.served("read", "Coverage") == 0

    sandbox.delete("Encounter", planned(pull, sandbox)[0]["id"])
    for _ in range(2):
        pull("encounter")

    assert sandbox.served("read", "Encounter") == 1


def test_an_appointment_that_comes_back_loses_its_mark(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    record = planned(pull, sandbox)[0]
    sandbox.delete("Encounter", record["id"])
    pull("encounter")
    sandbox.put(record)

    pull("encounter")

    assert marks(pull, "encounter") == {}
    assert row_of(pull, record)["emr_status"] is None


def test_an_insurance_that_is_deleted_is_noticed_when_its_patients_turn_comes(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull(*RESOURCES)
    deleted = sandbox.records("Coverage")[0]["id"]
    sandbox.delete("Coverage", deleted)

    pull("insurance", full=True)

    assert marks(pull, "insurance") == {deleted: "vanished"}


def test_a_pull_of_one_patient_notices_what_is_no_longer_theirs(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    deleted, *_, other = sandbox.records("Coverage")
    for gone in (deleted, other):
        sandbox.delete("Coverage", gone["id"])
    patient = deleted["beneficiary"]["reference"].removeprefix("Patient/")
    assert other["beneficiary"] != deleted["beneficiary"]

    run = pull.begin("manual", options={"resources": ["insurance"], "ids": {"patient": [patient]}})
    pull.resource(run, "insurance")

    assert marks(pull, "insurance") == {deleted["id"]: "vanished"}


def test_a_location_or_practitioner_that_the_list_lacks_is_asked_for(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("practitioner", "location")
    for name, fhir_type in (("practitioner", "Practitioner"), ("location", "Location")):
        deleted = sandbox.records(fhir_type)[0]["id"]
        sandbox.delete(fhir_type, deleted)

        assert pull(name)[name]["rejected"] == 1
        assert marks(pull, name)[deleted] == "vanished"


def test_a_look_at_everything_by_last_change_asks_for_what_is_missing() -> None:
    for start, reads in ((None, ["b"]), ("2026-11-22T08:00:00+00:00", [])):
        this = ask("Patient", Roll({"patient": ["a", "b"]}), start)
        walk = strategies.last_updated(this)
        assert len(params(next(walk))) == 1
        this.seen.add({"id": "a"}, 0, 0)
        assert [unit.ecw_id for units in walk for unit in units] == reads


def test_an_empty_list_asks_for_nobody() -> None:
    [searches] = [list(units) for units in strategies.whole_list(ask("Location", Roll({"location": ["a", "b"]})))]
    assert params(searches) == [{}]


def test_of_many_that_are_missing_those_are_read_whose_turn_it_is() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"
    there = [f"e{number}" for number in range(3 * strategies.READ_AT_ONCE)]
    for missing, few in ((there[: strategies.READ_AT_ONCE], False), (there, True)):
        this = ask("Encounter", Roll({"practitioner": ["x"]}, there=missing), *window)
        searches, reads = [list(units) for units in strategies.schedule(this)]
        assert len(params(searches)) == 1
        assert (20 < len(reads) < 120) if few else len(reads) == len(missing)
