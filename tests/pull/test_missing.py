"""What the CRM has and eCW's answers do not hold is asked for by its id: moved away, or gone for good."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.db.tables import ecw_link
from ecw.pull.context import PullContext
from ecw.pull.extract import strategies
from ecw.pull.extract.known_ids import Roster
from ecw.pull.extract.missing import READ_AT_ONCE, REFUSED_AT_ONCE
from ecw.resources import RESOURCES
from ecw.settings.pull import Options
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_strategies import Roll, ask, params

pytestmark = pytest.mark.large_practice

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
    assert marks(pull, "encounter") == {deleted["id"]: "deleted"}
    assert row_of(pull, deleted)["emr_status"] == "deleted"


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

    assert marks(pull, "insurance") == {deleted: "deleted"}


def test_a_pull_of_one_patient_notices_what_is_no_longer_theirs(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*RESOURCES)
    deleted, *_, other = sandbox.records("Coverage")
    for gone in (deleted, other):
        sandbox.delete("Coverage", gone["id"])
    patient = deleted["beneficiary"]["reference"].removeprefix("Patient/")
    assert other["beneficiary"] != deleted["beneficiary"]

    run = pull.begin("manual", options={"resources": ["insurance"], "ids": {"patient": [patient]}})
    pull.resource(run, "insurance")

    assert marks(pull, "insurance") == {deleted["id"]: "deleted"}


@on_sqlite
def test_who_was_merged_into_another_is_known(pull: Pulling, sandbox: RunningSandbox) -> None:
    away, other, *_ = sandbox.records("Patient")
    link = {"type": "replaced-by", "other": {"reference": f"Patient/{other['id']}"}}
    sandbox.put({**away, "active": False, "link": [link]})

    pull("patient")

    assert Roster(PullContext.of(pull.begin(), pull.crm, Options())).merged("patient") == {away["id"]}


def test_a_location_or_practitioner_that_the_list_lacks_is_asked_for(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("practitioner", "location")
    for name, fhir_type in (("practitioner", "Practitioner"), ("location", "Location")):
        deleted = sandbox.records(fhir_type)[0]["id"]
        sandbox.delete(fhir_type, deleted)

        assert pull(name)[name]["rejected"] == 1
        assert marks(pull, name)[deleted] == "deleted"


def test_a_look_at_everything_by_last_change_asks_for_what_is_missing() -> None:
    for start, reads in ((None, ["b"]), ("2026-11-22T08:00:00+00:00", [])):
        this = ask("Patient", Roll({"patient": ["a", "b"]}), start)
        walk = strategies.last_updated(this)
        [search] = next(walk)
        assert search.page is not None
        search.page([{"id": "a"}])  # one page holds still: there is no second pass
        this.seen.add({"id": "a"}, 0, 0)
        assert [unit.ecw_id for units in walk for unit in units] == reads


def test_an_empty_list_asks_for_nobody() -> None:
    [searches] = [list(units) for units in strategies.whole_list(ask("Location", Roll({"location": ["a", "b"]})))]
    assert params(searches) == [{}]


def test_of_many_that_are_missing_those_are_read_that_are_due() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"
    there = [f"e{number}" for number in range(3 * READ_AT_ONCE)]
    for missing, few in ((there[:READ_AT_ONCE], False), (there, True)):
        this = ask("Encounter", Roll({"practitioner": ["x"]}, there=missing), *window)
        searches, reads = [list(units) for units in strategies.schedule(this)]
        assert len(params(searches)) == 1
        assert (20 < len(reads) < 120) if few else len(reads) == len(missing)


def test_of_what_was_refused_a_few_are_read_at_once_many_in_turn_and_never_more_than_a_minutes_calls() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"
    for count, least, most in ((REFUSED_AT_ONCE, 10, 10), (600, 20, 120), (9_000, 250, 250)):
        rejected = [f"e{number}" for number in range(count)]
        for name in ("schedule", "per_patient"):
            this = ask("Encounter", Roll({"practitioner": ["x"]}, rejected=rejected, lost={"e0"}), *window)
            this.seen.add({"id": "e1"}, 0, 0)
            walk = strategies.STRATEGIES[name].rounds
            assert walk is not None
            read = [unit.ecw_id for units in walk(this) for unit in units if unit.ecw_id]
            assert min(least, count - 2) <= len(set(read)) == len(read) <= most
            assert not {"e0", "e1"} & set(read), "gone, and seen"


def test_a_large_quarantine_is_gone_through() -> None:
    rejected = [f"e{number}" for number in range(500)]
    read: set[str | None] = set()
    for day in (22, 23):
        this = ask("Encounter", Roll(rejected=rejected), end=f"2026-11-{day}T10:00:00+00:00")
        *_, last = strategies.per_patient(this)
        read |= {unit.ecw_id for unit in last}
    assert read == set(rejected)


@pytest.mark.parametrize(("resource", "fhir_type"), [("encounter", "Encounter"), ("insurance", "Coverage")])
@on_sqlite
def test_what_was_refused_and_then_deleted_is_gone_from_the_quarantine(
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
