"""Whole runs: who is taken, what is sent, what the table says, and what keeps a run from sending."""

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


def test_a_dry_run_names_the_fields_and_moves_nothing(sandbox: Any, crm: Any, run: Any) -> None:
    crm_id = crm.add(**person(0))
    bad = crm.add(**person(1), gender="Other")
    table = run(dry_run=True)
    assert table["dry_run"]
    assert table["counts"] == {"created": 1, "rejected": 1}
    told = {one["crm_id"]: one for one in table["shown"]}
    assert {"last_name", "birth_date", "city"} <= set(told[crm_id]["fields"].split(", "))
    assert "gender: eCW does not take this gender" in told[bad]["reason"]
    assert sandbox.served("transaction") == 0
    for name in ("ecw_intent", "ecw_journal", "ecw_link", "ecw_reject", "ecw_merge_base", "ecw_conflict"):
        assert crm.all(name) == []
    assert run()["counts"] == {"created": 1, "rejected": 1}, "the dry run has not kept them from the real one"


def test_a_form_names_patients_by_an_id_of_either_side_and_by_no_mr_number(crm: Any, run: Any) -> None:
    first, second = (crm.add(**person(at)) for at in range(2))
    for number in ("P-0001", "mr:P-0001"):
        with pytest.raises(ConfigurationError, match=r"Entry 2 of `patients` is an MR number.*`ecw find`") as refused:
            run(patients=[first, number])
        assert "P-0001" not in str(refused.value)
    assert run(patients=[first])["counts"] == {"created": 1}
    [link] = crm.all("ecw_link")
    assert run(patients=[f"ecw:{link['ecw_id']}", second])["counts"] == {"created": 1, "unchanged": 1}


def test_patients_are_named_by_mr_number_where_the_connection_lets_forms(crm: Any, run: Any) -> None:
    run.connection(mr_numbers=True)
    first, second, third = (crm.add(**person(at)) for at in range(3))
    assert [row["crm_id"] for row in crm.all("ecw_push_item")] == []
    assert run(patients=[first, "P-0002"])["counts"] == {"created": 2}
    assert {row["crm_id"] for row in crm.all("ecw_link")} == {first, third}
    assert run(patients=[f"crm:{second}"])["counts"] == {"created": 1}


@pytest.mark.parametrize(("names", "what"), [(["nobody"], "neither a CRM id nor"), (["4711"], "means 2 patients")])
def test_a_name_that_means_nobody_or_several_is_refused_without_the_number(
    crm: Any, run: Any, names: list[str], what: str
) -> None:
    run.connection(mr_numbers=True)
    crm.add(**person(0) | {"id": 4711})
    other = crm.add(**person(1) | {"mr_number": "4711"})
    with pytest.raises(ConfigurationError, match=f"Entry 1 of `patients` .*{what}") as raised:
        run(patients=names)
    assert "nobody" not in str(raised.value)
    assert run(patients=["mr:4711"])["counts"] == {"created": 1}
    assert [row["crm_id"] for row in crm.all("ecw_link")] == [other]


def test_only_and_limit(crm: Any, run: Any) -> None:
    first = crm.add(**person(0))
    run()
    crm.edit(first, city="Lawrence")
    for at in (1, 2, 3):
        crm.add(**person(at))
    assert run(only="update")["counts"] == {"updated": 1}
    table = run(only="create", limit=2)
    assert (table["counts"], table["not_sent"]) == ({"created": 2}, {"over the limit": 1})
    assert run()["counts"] == {"created": 1}


def test_the_test_patient_alone(crm: Any, run: Any) -> None:
    tester, other = crm.add(**person(0)), crm.add(**person(1))
    with pytest.raises(ConfigurationError, match=r"names none.*test_patient"):
        run(test_only=True)
    run.connection(test_patient="P-0000", test_only=True)
    assert run()["counts"] == {"created": 1}
    assert [row["crm_id"] for row in crm.all("ecw_link")] == [tester]
    assert run(patients=[other])["counts"] == {"unchanged": 1}, "the form does not switch it off"


def test_a_practice_says_how_long_texts_may_be_and_which_characters_it_takes(crm: Any, run: Any) -> None:
    crm.add(**person(0) | {"city": "T" * 101})
    crm.add(**person(1) | {"city": "A|B"})
    bad = crm.add(**person(2) | {"city": "A^B"})
    assert run(dry_run=True)["counts"] == {"rejected": 3}
    run.connection(max_text_length=120, allowed_characters="|")
    table = run(dry_run=True)  # the sandbox is as strict as the usual limits
    assert table["counts"] == {"created": 2, "rejected": 1}
    assert [one["crm_id"] for one in table["shown"] if one["status"] == "rejected"] == [bad]


@pytest.mark.parametrize("resource", ["encounter", "insurance", "Coverage", "pre-assessment", "practitioner"])
def test_what_ecw_does_not_take_is_refused_with_the_reason(run: Any, resource: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be pushed: .+\. Next .+: \w+"):
        run(resource=resource)


@pytest.mark.parametrize("resource", ["patients", "Patient"])
def test_patients_are_pushed_however_the_form_spells_them(crm: Any, run: Any, resource: str) -> None:
    crm.add(**person(0))
    assert run(resource=resource)["counts"] == {"created": 1}


@pytest.mark.parametrize("options", [{"patient": ["1"]}, {"limit": -1}, {"only": "delete"}, {"patients": "1"}])
def test_a_wrong_form_is_refused_with_the_option(run: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        run(**options)


def test_more_than_usual_needs_an_approval_and_without_one_nothing_is_sent(sandbox: Any, crm: Any, run: Any) -> None:
    run.connection(max_creates=2)
    ids = [crm.add(**person(at)) for at in range(3)]
    push = run.begin()
    assert (push["needs_approval"], push["creates"]) == (True, 3)
    table = run.finish(push, {"approved": False, "by": None})
    assert table["counts"] == {"not approved": 3}
    assert "nobody approved it in time" in table["shown"][0]["reason"]
    assert sandbox.served("transaction") == 0
    assert run("asset_triggered")["not_sent"] == {"not approved": 3}, "a person is not asked again by itself"
    crm.add(**person(5))
    assert run("asset_triggered")["counts"] == {"created": 1}, "and it keeps nobody else waiting"
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


def test_a_server_that_is_down_is_tried_again_by_airflow_and_what_is_done_stays(
    sandbox: Any, crm: Any, run: Any
) -> None:
    crm.add(**person(0))
    sandbox.fault("server_error", interaction="search")
    push = run.begin()
    with open_step(push) as step, pytest.raises(ServerUnavailable, match="1 patients could not be pushed now"):
        send(replace(step, patience=RetryPolicy(2, seconds=0, longest_wait=0)), {})
    assert steps.summary(push)["counts"] == {"later": 1}
    sandbox.reset()
    sandbox.set(quota=0)
    assert run.finish(push)["counts"] == {"created": 1}


def test_refusals_that_are_not_the_patients_end_the_run_early(sandbox: Any, crm: Any, run: Any) -> None:
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
    assert run.finish(push)["counts"] == {"created": len(NAMES)}, "the task was cleared, as it says"


def test_patients_whom_ecw_does_not_have_any_more_keep_nobody_waiting(sandbox: Any, crm: Any, run: Any) -> None:
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


def test_an_answer_that_does_not_fit_one_patient_says_nothing_of_the_others(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(10):
        crm.add(**person(at))
    sandbox.fault("ignore_filter", interaction="search", value="identifier", times=6)
    assert run()["counts"] == {"created": 4, "failed": 6}
    assert run()["counts"] == {"created": 6}


def test_a_run_in_which_no_answer_fits_is_red(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(10):
        crm.add(**person(at))
    sandbox.fault("ignore_filter", interaction="search", value="identifier")
    push = run.begin()
    with pytest.raises(AccessDenied, match=r"No patient could be pushed\. .*identifier"):
        steps.send(push)
    assert steps.summary(push)["counts"] == {"failed": 10}
    sandbox.clear_faults()
    assert run.finish(push)["counts"] == {"created": 10}


def test_a_location_must_be_one_that_was_pulled(sandbox: Any, crm: Any, run: Any, pull: Any) -> None:
    pull("location")
    [there, *_] = sandbox.records("Location")
    good = crm.add(**person(0), default_location=f"Location/{there['id']}")
    unknown = crm.add(**person(1), default_location="Location/gone")
    word = crm.add(**person(2), default_location="Main Street")
    table = run()
    assert table["counts"] == {"created": 1, "rejected": 2}
    told = {one["crm_id"]: one for one in table["shown"]}
    assert "default_location: eCW has no such location" in told[unknown]["reason"]
    assert "default_location: " in told[word]["reason"]
    assert "crosswalk" in told[word]["next_step"]
    assert [row["crm_id"] for row in crm.all("ecw_link") if row["resource"] == "patient"] == [good]


@pytest.mark.parametrize(("patients", "every"), [(50, 10), pytest.param(200, 20, marks=pytest.mark.slow)])
def test_a_batch_with_bad_ones_among_them(sandbox: Any, crm: Any, run: Any, patients: int, every: int) -> None:
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


def test_held_matches_and_conflicts_stand_in_the_table(sandbox: Any, crm: Any, run: Any) -> None:
    crm.add(**person(0) | {"first_name": "Eva"})
    run()
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    [one] = run()["shown"]
    assert (one["crm_id"], one["status"]) == (near, "held")
    assert "ecw matches" in one["next_step"]
    assert run()["not_sent"] == {"held": 1}


@pytest.mark.parametrize("delay", [0, 1])
def test_two_rows_of_one_person_in_one_run_are_one_patient_and_one_held(
    sandbox: Any, crm: Any, run: Any, delay: float
) -> None:
    run.connection(unknown_outcome_wait_seconds=delay + 0.5)
    sandbox.set(create_delay=delay)
    before = sandbox.held()["Patient"]
    for at in range(4):
        crm.add(**person(0) | {"identifier": f"row {at}", "first_name": ("Eva", "Ewa", "Eva", "Ewa")[at]})
    assert run()["counts"] == {"created": 1, "held": 3}
    assert sandbox.held()["Patient"] == before + 1


def test_nothing_of_a_patient_is_in_what_travels(crm: Any, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    crm.add(**person(0))
    crm.add(**person(1) | {"gender": "Other"})
    run.connection(mr_numbers=True)
    push = run.begin(patients=["P-0000", "P-0001"])
    table = run.finish(push)
    for told in (caplog.text, repr(push), repr(table), repr(crm.all("ecw_push_item")), repr(crm.all("ecw_journal"))):
        for value in (NAMES[0], NAMES[1], "P-0000", "1950", "Topeka"):
            assert value not in told


@pytest.mark.parametrize("step", ["begin", "send", "confirm", "summary"])
def test_what_the_crm_s_database_raises_is_reported(crm: Any, run: Any, step: str) -> None:
    crm.add(**person(0))
    push = run.begin()
    with crm.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ecw_push_item RENAME TO was_ecw_push")
    with pytest.raises(CrmSchemaError, match=r"The push: (SQLite|PostgreSQL) refused it"):
        run.begin() if step == "begin" else getattr(steps, step)(push)
