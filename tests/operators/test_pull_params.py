"""Runs with filled-in forms, against the sandbox and both databases."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ecw.errors import ConfigurationError, RecordNotFound, SnapshotPending
from ecw.pull import inline_run, run_plan, steps
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.pulling import Pulling, connect
from tests.fixtures.sandbox import RunningSandbox


def form(pull: Pulling, **fields: Any) -> Any:
    return pull.begin("manual", options=fields)


def mr_number_of(patient: dict[str, Any]) -> str:
    return next(str(each["value"]) for each in patient["identifier"] if each["use"] == "secondary")


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch, sandbox: RunningSandbox, keys: Keys, pull: Pulling) -> Pulling:
    """Return a Pulling whose forms may name patients by MR number."""
    connect(monkeypatch, sandbox, keys, pull={"mr_numbers": True})
    return pull


@pytest.mark.parametrize("known", [True, False])
def test_a_form_takes_ids_of_both_sides_and_refuses_mr_numbers_with_their_lines(
    pull: Pulling, sandbox: RunningSandbox, known: bool
) -> None:
    patient = sandbox.records("Patient")[7]
    if known:
        inline_run.pull(form(pull, mode="patients", patients=[patient["id"]]))
        [row] = pull.rows("SELECT crm_id FROM ecw_link WHERE resource = 'patient'")
        run = form(pull, mode="patients", patients=[row["crm_id"]])
        assert run_plan.of(run)["options"]["ids"] == {"patient": [patient["id"]]}

    with pytest.raises(ConfigurationError, match=r"1 of 2 are MR numbers \(line 2\).*`ecw find`") as refused:
        form(pull, mode="patients", patients=[patient["id"], mr_number_of(patient)])

    assert mr_number_of(patient) not in str(refused.value)


def test_a_new_patient_named_by_mr_number_is_pulled(numbered: Pulling, sandbox: RunningSandbox) -> None:
    pull = numbered
    patient = sandbox.records("Patient")[7]

    run = form(pull, mode="patients", patients=[mr_number_of(patient)])
    done = inline_run.pull(run)

    assert list(done) == ["patient", "insurance", "encounter"]
    assert (done["patient"]["fetched"], done["patient"]["inserted"]) == (1, 1)
    assert [row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM patient")] == [patient["id"]]
    assert pull.rows("SELECT patient_id FROM encounter WHERE patient_id IS NULL") == []
    assert pull.rows("SELECT * FROM ecw_cursor") == []
    states = {row["resource"]: row["state"] for row in steps.summary(run)}
    assert states == {
        **dict.fromkeys(RESOURCES, "loaded"),
        "practitioner": "not asked for",
        "location": "not asked for",
    }
    assert steps.left_out(run) == list(RESOURCES)


def test_an_mr_number_that_the_crm_has_needs_no_search_in_ecw(numbered: Pulling, sandbox: RunningSandbox) -> None:
    pull = numbered
    patient = sandbox.records("Patient")[7]
    inline_run.pull(form(pull, mode="patients", patients=[patient["id"]]))
    searches = sandbox.served("search", "Patient")

    run = form(pull, mode="patients", patients=[mr_number_of(patient), patient["id"]])

    assert run_plan.of(run)["options"]["ids"] == {"patient": [patient["id"]]}
    assert sandbox.served("search", "Patient") == searches


@on_sqlite
def test_an_unknown_mr_number_is_refused_with_its_line_and_not_quoted(
    numbered: Pulling, sandbox: RunningSandbox
) -> None:
    pull = numbered
    known = mr_number_of(sandbox.records("Patient")[7])

    with pytest.raises(ConfigurationError, match=r"1 of 2 match nobody \(line 2\)") as error:
        form(pull, mode="patients", patients=[known, "99887766"])

    assert "99887766" not in str(error.value)
    assert pull.rows("SELECT * FROM ecw_run") == []


@on_sqlite
@pytest.mark.large_practice
def test_a_run_of_a_practitioners_schedule_pulls_its_visits_and_patients(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    encounters = sandbox.records("Encounter")
    practitioner = encounters[0]["participant"][0]["individual"]["reference"].removeprefix("Practitioner/")
    visits = [each for each in encounters if practitioner in str(each["participant"])]
    days = sorted(each["period"]["start"][:10] for each in visits)

    run = form(
        pull,
        mode="schedule",
        practitioners=[practitioner],
        since=f"{days[0]}T00:00:00Z",
        until=f"{days[-1]}T23:59:00Z",
    )
    done = inline_run.pull(run)

    patients = {each["subject"]["reference"].removeprefix("Patient/") for each in visits}
    assert {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM encounter")} == {each["id"] for each in visits}
    assert {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM patient")} == patients
    assert pull.rows("SELECT * FROM encounter WHERE patient_id IS NULL") == []
    assert (done["encounter"]["fetched"], done["patient"]["fetched"]) == (len(visits), len(patients))
    assert sandbox.served("search", "Encounter") == -(-len(visits) // 10), "the pages of one search"
    again = inline_run.pull(form(pull, mode="schedule", practitioners=[practitioner]))
    assert again["patient"]["fetched"] == 0, "the patients are loaded already"


@on_sqlite
def test_a_form_with_unknown_practitioners_is_refused_with_their_lines(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("practitioner")
    linked, *_ = sorted(each["id"] for each in sandbox.records("Practitioner"))
    fresh = sandbox.put(sandbox.record("Practitioner", linked) | {"id": "new-here"})["id"]

    assert form(pull, mode="schedule", practitioners=[linked, fresh])["run_type"] == "manual"
    with pytest.raises(ConfigurationError, match=r"2 of 3 match nobody \(line 2, 3\)") as error:
        form(pull, mode="schedule", practitioners=[linked, "4711", "Dr. Jane Roe"])

    assert "Roe" not in str(error.value)
    assert "Roe" not in str(error.value.__cause__)


@on_sqlite
def test_a_run_of_insurance_alone_links_it_to_the_patients_of_earlier_runs(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("practitioner", "location", "patient")

    run = form(pull, resources=["insurance"])
    done = pull.resource(run, "insurance")

    assert done["inserted"] == len(sandbox.records("Coverage"))
    assert steps.left_out(run) == ["inline", "practitioner", "location", "patient", "encounter"]
    with pytest.raises(ConfigurationError, match="does not cover location"):
        steps.extract(run, "location")


@on_sqlite
def test_a_resource_that_fails_in_an_inline_run_does_not_stop_the_others(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    patient = sandbox.records("Patient")[7]["id"]
    sandbox.fault("gone", resource="Coverage")
    run = form(pull, mode="patients", patients=[patient])

    with pytest.raises(RecordNotFound):
        inline_run.pull(run)

    states = {row["resource"]: row["state"] for row in steps.summary(run)}
    assert (states["patient"], states["insurance"], states["encounter"]) == ("loaded", "failed", "loaded")


@on_sqlite
def test_from_and_until_are_refused_if_no_search_of_the_run_takes_dates(pull: Pulling) -> None:
    window = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"}
    with pytest.raises(ConfigurationError, match="no search of location, patient takes dates"):
        form(pull, resources=["location", "patient"], **window)

    run = form(pull, **window)

    assert (run["window_start"], run["window_end"]) == ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00")
    pull.resource(run, "practitioner")
    pull.resource(run, "encounter")
    assert pull.rows("SELECT * FROM ecw_cursor") == [], "a run of its own window moves no cursor"


@pytest.mark.large_practice
def test_a_dry_run_reports_its_counts_and_writes_no_rows(pull: Pulling, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run = form(pull, resources=["practitioner"], dry_run=True)
    assert {row["state"] for row in steps.summary(run)} == {"dry run, not ended", "not asked for"}

    assert pull.resource(run, "practitioner")["inserted"] == 30

    for table in (
        "practitioner",
        "ecw_link",
        "ecw_cursor",
        "ecw_reject",
        "ecw_journal",
        "ecw_merge_base",
        "ecw_deferred_row",
    ):
        assert pull.rows(f"SELECT * FROM {table}") == [], table  # noqa: S608 - names from above
    row = steps.summary(run)[0]
    assert (row["state"], row["fetched"], row["inserted"]) == ("dry run", 30, 30)
    assert row["next"] == "a dry run, nothing was written: trigger it again without dry run to load."
    assert ", dry run." in caplog.text
    assert run_plan.of(pull.begin())["resources"]["practitioner"]["start"] is None, (
        "the next run begins where it would have"
    )


@on_sqlite
def test_a_backfill_fetches_resources_without_date_searches_once(pull: Pulling, sandbox: RunningSandbox) -> None:
    first = pull.begin("backfill")
    with pytest.raises(SnapshotPending, match="still fetching the practitioners"):
        pull.begin("backfill")
    pull.resource(first, "practitioner")
    second = pull.begin("backfill")

    assert list(run_plan.of(first)["resources"]) == list(RESOURCES)
    assert list(run_plan.of(second)["resources"]) == ["encounter"]
    assert run_plan.of(second)["resources"]["encounter"]["start"] == second["window_start"]
    assert run_plan.of(first)["resources"]["insurance"]["start"] is None, "the insurance of every patient, once"
    for name in ("location", "patient", "insurance", "encounter"):
        pull.resource(first, name)
    pull.resource(second, "encounter")
    states = {row["resource"]: row["state"] for row in steps.summary(second)}
    assert states == {**dict.fromkeys(RESOURCES, "once a backfill"), "encounter": "loaded"}
    assert pull.rows("SELECT * FROM ecw_cursor") == []
    assert len(pull.rows("SELECT * FROM insurance")) == len(sandbox.records("Coverage"))
    assert sandbox.served("search", "Location") == 2, "two pages, once"


@on_sqlite
def test_a_dry_run_of_a_backfill_claims_nothing(pull: Pulling) -> None:
    pull.begin("backfill", options={"dry_run": True})

    assert list(run_plan.of(pull.begin("backfill"))["resources"]) == list(RESOURCES)
