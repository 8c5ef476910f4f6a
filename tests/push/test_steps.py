"""Whole runs of the push: the selected patients, the requests, the summary, and the errors that stop a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecw.errors import AccessDenied, ConfigurationError, CrmSchemaError, ServerUnavailable
from ecw.fhir.retry import RetryPolicy
from ecw.push import steps
from ecw.push.send import send
from ecw.push.step_context import open_step
from tests.push.names import NAMES, person


def test_new_and_changed_patients_are_pushed_and_read_back(sandbox: Any, crm: Any, run: Any) -> None:
    first, second = crm.add(**person(0)), crm.add(**person(1))
    table = run()
    assert (table["counts"], table["confirmed"], table["shown"]) == ({"created": 2}, {"complete": 2}, [])
    crm.edit(first, city="Lawrence")
    table = run()
    assert (table["patients"], table["counts"]) == (1, {"updated": 1})
    assert run()["patients"] == 0
    assert sandbox.served("transaction") == 3
    assert {row["crm_id"] for row in crm.all("ecw_link")} == {first, second}


def test_a_dry_run_names_the_fields_and_writes_nothing(sandbox: Any, crm: Any, run: Any) -> None:
    crm_id = crm.add(**person(0))
    bad = crm.add(**person(1), gender="Other")
    table = run(dry_run=True)
    assert table["dry_run"]
    assert table["counts"] == {"created": 1, "rejected": 1}
    shown = {one["crm_id"]: one for one in table["shown"]}
    assert {"last_name", "birth_date", "city"} <= set(shown[crm_id]["fields"].split(", "))
    assert "gender: eCW does not take this gender" in shown[bad]["reason"]
    assert sandbox.served("transaction") == 0
    for name in ("ecw_intent", "ecw_journal", "ecw_link", "ecw_reject", "ecw_merge_base", "ecw_conflict"):
        assert crm.all(name) == []
    assert run()["counts"] == {"created": 1, "rejected": 1}, "the dry run does not change the next run"


def test_a_form_takes_patient_ids_of_both_sides_and_refuses_mr_numbers(crm: Any, run: Any) -> None:
    first, second = (crm.add(**person(at)) for at in range(2))
    for number in ("P-0001", "mr:P-0001"):
        with pytest.raises(ConfigurationError, match=r"Entry 2 of `patients` is an MR number.*`ecw find`") as refused:
            run(patients=[first, number])
        assert "P-0001" not in str(refused.value)
    assert run(patients=[first])["counts"] == {"created": 1}
    [link] = crm.all("ecw_link")
    assert run(patients=[f"ecw:{link['ecw_id']}", second])["counts"] == {"created": 1, "unchanged": 1}


def test_a_form_takes_mr_numbers_if_the_connection_allows_it(crm: Any, run: Any) -> None:
    run.connection(mr_numbers=True)
    first, second, third = (crm.add(**person(at)) for at in range(3))
    assert [row["crm_id"] for row in crm.all("ecw_push_item")] == []
    assert run(patients=[first, "P-0002"])["counts"] == {"created": 2}
    assert {row["crm_id"] for row in crm.all("ecw_link")} == {first, third}
    assert run(patients=[f"crm:{second}"])["counts"] == {"created": 1}


@pytest.mark.parametrize(("names", "message"), [(["nobody"], "neither a CRM id nor"), (["4711"], "means 2 patients")])
def test_a_name_of_no_patient_or_of_several_is_refused_and_not_quoted(
    crm: Any, run: Any, names: list[str], message: str
) -> None:
    run.connection(mr_numbers=True)
    crm.add(**person(0) | {"id": 4711})
    other = crm.add(**person(1) | {"mr_number": "4711"})
    with pytest.raises(ConfigurationError, match=f"Entry 1 of `patients` .*{message}") as raised:
        run(patients=names)
    assert "nobody" not in str(raised.value)
    assert run(patients=["mr:4711"])["counts"] == {"created": 1}
    assert [row["crm_id"] for row in crm.all("ecw_link")] == [other]


def test_the_options_only_and_limit_select_the_patients(crm: Any, run: Any) -> None:
    first = crm.add(**person(0))
    run()
    crm.edit(first, city="Lawrence")
    for at in (1, 2, 3):
        crm.add(**person(at))
    assert run(only="update")["counts"] == {"updated": 1}
    table = run(only="create", limit=2)
    assert (table["counts"], table["not_sent"]) == ({"created": 2}, {"over the limit": 1})
    assert run()["counts"] == {"created": 1}


def test_with_test_only_just_the_test_patient_is_pushed(crm: Any, run: Any) -> None:
    tester, other = crm.add(**person(0)), crm.add(**person(1))
    with pytest.raises(ConfigurationError, match=r"names none.*test_patient"):
        run(test_only=True)
    run.connection(test_patient="P-0000", test_only=True)
    assert run()["counts"] == {"created": 1}
    assert [row["crm_id"] for row in crm.all("ecw_link")] == [tester]
    assert run(patients=[other])["counts"] == {"unchanged": 1}, "the form does not switch it off"


def test_a_connection_sets_the_maximum_length_and_the_allowed_characters(crm: Any, run: Any) -> None:
    crm.add(**person(0) | {"city": "T" * 101})
    crm.add(**person(1) | {"city": "A|B"})
    bad = crm.add(**person(2) | {"city": "A^B"})
    assert run(dry_run=True)["counts"] == {"rejected": 3}
    run.connection(max_text_length=120, allowed_characters="|")
    table = run(dry_run=True)  # a dry run, because the sandbox has the default limits
    assert table["counts"] == {"created": 2, "rejected": 1}
    assert [one["crm_id"] for one in table["shown"] if one["status"] == "rejected"] == [bad]


@pytest.mark.parametrize("resource", ["encounter", "insurance", "Coverage", "pre-assessment", "practitioner"])
def test_a_resource_that_ecw_does_not_accept_is_refused_with_the_reason(run: Any, resource: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be pushed: .+\. Next .+: \w+"):
        run(resource=resource)


@pytest.mark.parametrize("resource", ["patients", "Patient"])
def test_the_resource_patient_is_accepted_in_every_spelling(crm: Any, run: Any, resource: str) -> None:
    crm.add(**person(0))
    assert run(resource=resource)["counts"] == {"created": 1}


@pytest.mark.parametrize("options", [{"patient": ["1"]}, {"limit": -1}, {"only": "delete"}, {"patients": "1"}])
def test_the_error_about_a_wrong_form_names_the_option(run: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        run(**options)


def test_a_push_larger_than_usual_is_sent_only_after_an_approval(sandbox: Any, crm: Any, run: Any) -> None:
    run.connection(max_creates=2)
    ids = [crm.add(**person(at)) for at in range(3)]
    push = run.begin()
    assert (push["needs_approval"], push["creates"]) == (True, 3)
    table = run.finish(push, {"approved": False, "by": None})
    assert table["counts"] == {"not approved": 3}
    assert "nobody approved it in time" in table["shown"][0]["reason"]
    assert sandbox.served("transaction") == 0
    assert run("asset_triggered")["not_sent"] == {"not approved": 3}, "an automatic run does not ask again"
    crm.add(**person(5))
    assert run("asset_triggered")["counts"] == {"created": 1}, "other patients are sent"
    assert run(limit=1)["counts"] == {"created": 1}
    push = run.begin(patients=ids[1:])
    assert not push["needs_approval"]
    crm.add(**person(6))
    push = run.begin()
    assert push["needs_approval"]
    assert run("asset_triggered")["not_sent"] == {"waiting for an approval": 3}
    assert run.finish(push, {"approved": True, "by": "alice"})["counts"] == {"created": 3}


def test_a_lost_answer_is_settled_in_the_same_run(sandbox: Any, crm: Any, run: Any) -> None:
    before = sandbox.held()["Patient"]
    sandbox.fault("lose_response", interaction="transaction", times=1)
    sandbox.fault("hang", interaction="transaction", nth=2, times=1, seconds=0.1)
    for at in range(3):
        crm.add(**person(at))
    assert run()["counts"] == {"created": 3}
    assert sandbox.held()["Patient"] == before + 3


def test_a_server_that_is_down_is_a_retryable_error_and_the_retry_sends_the_patient(
    sandbox: Any, crm: Any, run: Any
) -> None:
    crm.add(**person(0))
    sandbox.fault("server_error", interaction="search")
    push = run.begin()
    with open_step(push) as step, pytest.raises(ServerUnavailable, match="1 patients could not be pushed now"):
        send(replace(step, retry_policy=RetryPolicy(2, seconds=0, longest_wait=0)), {})
    assert steps.summary(push)["counts"] == {"later": 1}
    sandbox.reset()
    sandbox.set(quota=0)
    assert run.finish(push)["counts"] == {"created": 1}


def test_refusals_that_do_not_depend_on_the_patient_end_the_run_early(sandbox: Any, crm: Any, run: Any) -> None:
    sandbox.set(write_back=False)
    for at in range(len(NAMES)):
        crm.add(**person(at))
    push = run.begin()
    with pytest.raises(AccessDenied, match=r"patients in a row.*No write-back user.*308"):
        steps.send(push)
    counts = steps.summary(push)["counts"]
    assert counts["failed"] >= 5
    assert counts["not tried"] > 0
    assert sandbox.served("transaction") < len(NAMES)
    sandbox.set(write_back=True)
    assert run.finish(push)["counts"] == {"created": len(NAMES)}, "the task was cleared, as the message advises"


def test_patients_that_were_deleted_in_ecw_do_not_stop_the_others(sandbox: Any, crm: Any, run: Any) -> None:
    ids = [crm.add(**person(at)) for at in range(12)]
    run()
    for crm_id in ids[:8]:
        sandbox.delete("Patient", crm.row(crm_id)["ecw_id"])
    for crm_id in ids:
        crm.edit(crm_id, city="Lawrence")
    table = run()
    assert table["counts"] == {"updated": 4, "refused": 8}
    assert "may have been merged or deleted in eCW" in table["shown"][0]["next_step"]
    assert run("asset_triggered")["not_sent"] == {"tried before": 8}


def test_an_invalid_answer_for_some_patients_does_not_stop_the_others(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(10):
        crm.add(**person(at))
    sandbox.fault("ignore_filter", interaction="search", value="identifier", times=6)
    assert run()["counts"] == {"created": 4, "failed": 6}
    assert run()["counts"] == {"created": 6}


def test_a_run_with_only_invalid_answers_fails(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(10):
        crm.add(**person(at))
    sandbox.fault("ignore_filter", interaction="search", value="identifier")
    push = run.begin()
    with pytest.raises(AccessDenied, match=r"No patient could be pushed\. .*identifier"):
        steps.send(push)
    assert steps.summary(push)["counts"] == {"failed": 10}
    sandbox.clear_faults()
    assert run.finish(push)["counts"] == {"created": 10}


def test_a_patient_whose_location_was_not_pulled_is_rejected(sandbox: Any, crm: Any, run: Any, pull: Any) -> None:
    pull("location")
    [location, *_] = sandbox.records("Location")
    good = crm.add(**person(0), default_location=f"Location/{location['id']}")
    unknown = crm.add(**person(1), default_location="Location/gone")
    name = crm.add(**person(2), default_location="Main Street")
    table = run()
    assert table["counts"] == {"created": 1, "rejected": 2}
    shown = {one["crm_id"]: one for one in table["shown"]}
    assert "default_location: eCW has no such location" in shown[unknown]["reason"]
    assert "default_location: " in shown[name]["reason"]
    assert "crosswalk" in shown[name]["next_step"]
    assert [row["crm_id"] for row in crm.all("ecw_link") if row["resource"] == "patient"] == [good]


@pytest.mark.parametrize(("patients", "every"), [(50, 10), pytest.param(200, 20, marks=pytest.mark.slow)])
def test_invalid_patients_in_a_batch_are_rejected_and_the_others_created(
    sandbox: Any, crm: Any, run: Any, patients: int, every: int
) -> None:
    run.connection(max_creates=patients)
    bad: dict[str, str] = {}
    wrong = ({"gender": "Other"}, {"birth_date": None}, {"identifier": None}, {"city": "A|B"}, {"last_name": "N" * 101})
    for at in range(patients):
        change = wrong[at // every % len(wrong)] if at % every == 0 else {}
        crm_id = crm.add(**person(at) | change)
        bad |= {crm_id: next(iter(change))} if change else {}
    table = run()
    refused = patients // every
    assert table["counts"] == {"created": patients - refused, "rejected": refused}
    assert {one["crm_id"]: one["reason"].split(":")[0] for one in table["shown"]} == bad
    assert all(one["next_step"] for one in table["shown"])
    assert {row["ecw_id"].removeprefix("crm:") for row in crm.all("ecw_reject")} == set(bad)


def test_a_held_match_is_in_the_summary_with_its_command(sandbox: Any, crm: Any, run: Any) -> None:
    crm.add(**person(0) | {"first_name": "Eva"})
    run()
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    [one] = run()["shown"]
    assert (one["crm_id"], one["status"]) == (near, "held")
    assert "ecw matches" in one["next_step"]
    assert run()["not_sent"] == {"held": 1}


@pytest.mark.parametrize("delay", [0, 1])
def test_of_four_rows_of_one_person_in_one_run_one_is_created_and_three_held(
    sandbox: Any, crm: Any, run: Any, delay: float
) -> None:
    run.connection(unknown_outcome_wait_seconds=delay + 0.5)
    sandbox.set(create_delay=delay)
    before = sandbox.held()["Patient"]
    for at in range(4):
        crm.add(**person(0) | {"identifier": f"row {at}", "first_name": ("Eva", "Ewa", "Eva", "Ewa")[at]})
    assert run()["counts"] == {"created": 1, "held": 3}
    assert sandbox.held()["Patient"] == before + 1


def test_no_value_of_a_patient_is_in_xcoms_log_journal_or_push_items(
    crm: Any, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    crm.add(**person(0))
    crm.add(**person(1) | {"gender": "Other"})
    run.connection(mr_numbers=True)
    push = run.begin(patients=["P-0000", "P-0001"])
    table = run.finish(push)
    for output in (caplog.text, repr(push), repr(table), repr(crm.all("ecw_push_item")), repr(crm.all("ecw_journal"))):
        for value in (NAMES[0], NAMES[1], "P-0000", "1950", "Topeka"):
            assert value not in output


@pytest.mark.parametrize("step", ["begin", "send", "confirm", "summary"])
def test_an_error_of_the_crms_database_is_reported_by_every_step(crm: Any, run: Any, step: str) -> None:
    crm.add(**person(0))
    push = run.begin()
    with crm.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ecw_push_item RENAME TO was_ecw_push")
    with pytest.raises(CrmSchemaError, match=r"The push: (SQLite|PostgreSQL) refused it"):
        run.begin() if step == "begin" else getattr(steps, step)(push)
