"""The push of one patient: created once, updated without overwriting, held, refused, recorded."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.db.enums import JournalOutcome
from ecw.crm.state import conflicts
from ecw.push import intents
from ecw.push.messages import describe_result
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.three_way_merge import MergeBase
from tests.fixtures.sandbox import SMALL

INITIAL_PATIENTS = SMALL["patients"]  # the number of patients that the sandbox begins with


def create_patient(crm: Any, pushing: Any, **changes: Any) -> tuple[str, str]:
    """Add a patient to the CRM and push it; return its CRM id and its eCW id."""
    crm_id = crm.add(**changes)
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, bool(pushed.ecw_id)) == ("created", True)
    assert confirm(pushing(), crm_id).complete
    return crm_id, pushed.ecw_id


def ecw_record(sandbox: Any, ecw_id: str) -> dict[str, Any]:
    [record] = [each for each in sandbox.records("Patient") if each["id"] == ecw_id]
    return record


def edit_in_ecw(sandbox: Any, ecw_id: str, **changes: Any) -> None:
    sandbox.put(ecw_record(sandbox, ecw_id) | changes)


def phone_of(patient: dict[str, Any]) -> str:
    return next(each["value"] for each in patient["telecom"] if each["system"] == "phone")


def test_a_new_patient_is_created_linked_and_not_sent_again(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    assert ecw_record(sandbox, ecw_id)["name"][0]["family"] == "Kowalczyk"
    row = crm.row(crm_id)
    assert (row["ecw_id"], row["mr_number"]) == (ecw_id, "ACC-1")
    [link] = crm.all("ecw_link")
    assert (link["crm_id"], link["ecw_id"]) == (crm_id, ecw_id)
    assert link["hash"], "the next pull recognises it as unchanged"
    assert crm.journal() == [("create", "done")]
    [entry] = crm.all("ecw_journal")
    assert (entry["message"], entry["http_status"], entry["code"]) == ("200 OK", 200, "1")
    again = push_patient(pushing("r2"), crm_id)
    assert (again.status, again.fields) == ("unchanged", ())
    assert sandbox.served("transaction") == 1


@pytest.mark.both_databases
def test_a_patient_whose_row_refuses_the_ecw_id_is_linked_and_created_once(
    sandbox: Any, crm: Any, pushing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The link alone is enough to recognise the patient."""
    crm_id = crm.add()
    with crm.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "RAISE EXCEPTION 'the row of %% is closed', NEW.last_name; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER guard BEFORE UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION guard()"
            )
        else:
            connection.exec_driver_sql(
                "CREATE TRIGGER guard BEFORE UPDATE ON patient BEGIN SELECT RAISE(ABORT, 'closed'); END"
            )
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, bool(pushed.ecw_id)) == ("created", True)
    assert [(link["crm_id"], link["ecw_id"]) for link in crm.all("ecw_link")] == [(crm_id, pushed.ecw_id)]
    assert "a trigger of the CRM refuses it" in caplog.text
    assert "Kowalczyk" not in caplog.text
    confirm(pushing(), crm_id)
    assert push_patient(pushing("r2"), crm_id).status == "unchanged"
    assert sandbox.served("transaction") == 1


def test_the_next_pull_counts_the_created_patient_as_unchanged(sandbox: Any, crm: Any, pushing: Any) -> None:
    from ecw.crm.state import links
    from ecw.fhir.fingerprint import content_hash

    _, ecw_id = create_patient(crm, pushing)
    known = links.known(crm.engine, pushing().place.practice, "patient")
    assert known.unchanged(ecw_id, content_hash(ecw_record(sandbox, ecw_id)), pushing().mapping.version)


def test_an_edit_of_the_crm_is_sent_and_no_other_element_changes(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    edit_in_ecw(sandbox, ecw_id, contact=[{"name": {"family": "Mother"}}], gender="unknown")
    crm.edit(crm_id, city="Lawrence", phone="(913) 555-7777")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, set(pushed.fields)) == ("updated", {"city", "phone"})
    found = ecw_record(sandbox, ecw_id)
    assert (found["address"][0]["city"], phone_of(found)) == ("Lawrence", "9135557777")
    assert found["gender"] == "unknown", "the clinic's edit stays until the pull"
    assert found["contact"] == [{"name": {"family": "Mother"}}]
    assert push_patient(pushing("r3"), crm_id).status == "unchanged"


def test_a_conflict_leaves_both_values_until_a_person_chooses(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    name = ecw_record(sandbox, ecw_id)["name"][0]
    edit_in_ecw(sandbox, ecw_id, name=[name | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake", city="Lawrence")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields, pushed.conflicts) == ("updated", ("city",), ("last_name",))
    assert ecw_record(sandbox, ecw_id)["name"][0]["family"] == "Clinic"
    assert crm.row(crm_id)["last_name"] == "Intake"
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["column"], conflict["state"], conflict["winner"]) == ("last_name", "open", None)
    assert push_patient(pushing("r3"), crm_id).status == "unchanged"
    practice = pushing().place.practice
    assert conflicts.choose(crm.engine, conflicts.Field(practice, "patient", crm_id, "last_name"), "crm", "tester")
    assert push_patient(pushing("r4"), crm_id).fields == ("last_name",)
    assert ecw_record(sandbox, ecw_id)["name"][0]["family"] == "Intake"
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["state"], conflict["winner"]) == ("settled", "crm")


def test_a_choice_is_void_once_a_value_has_changed_again(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    name = ecw_record(sandbox, ecw_id)["name"][0]
    edit_in_ecw(sandbox, ecw_id, name=[name | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake")
    push_patient(pushing("r2"), crm_id)
    conflicts.choose(
        crm.engine, conflicts.Field(pushing().place.practice, "patient", crm_id, "last_name"), "crm", "tester"
    )
    edit_in_ecw(sandbox, ecw_id, name=[name | {"family": "Clinic Again"}])
    assert push_patient(pushing("r3"), crm_id).conflicts == ("last_name",)
    assert ecw_record(sandbox, ecw_id)["name"][0]["family"] == "Clinic Again"


def test_a_conflict_that_ecw_wins_by_its_rule_is_settled_and_recorded(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    edit_in_ecw(sandbox, ecw_id, gender="unknown")
    crm.edit(crm_id, gender="Male")
    assert push_patient(pushing("r2"), crm_id).status == "unchanged"
    assert ecw_record(sandbox, ecw_id)["gender"] == "unknown"
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["state"], conflict["winner"], conflict["crm_value"]) == ("settled", "emr", '"Male"')


def test_an_invalid_patient_is_a_reject_with_field_and_next_step_until_it_is_corrected(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add(gender="Other", identifier=None)
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, {each.field for each in pushed.findings}) == ("rejected", {"gender", "identifier"})
    rejects = crm.all("ecw_reject")
    assert {(row["column"], row["state"]) for row in rejects} == {("gender", "open"), ("identifier", "open")}
    assert all("next: " in row["reason"] for row in rejects)
    assert push_patient(pushing("r2"), crm_id).status == "refused", "the same content is not tried again"
    assert sandbox.served("transaction") == 0
    crm.edit(crm_id, gender="Female", identifier="ACC-9")
    assert push_patient(pushing("r3"), crm_id).status == "created"
    assert {row["state"] for row in crm.all("ecw_reject")} == {"resolved"}


def test_a_patient_that_ecw_has_is_linked_and_its_empty_elements_filled(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    with crm.engine.begin() as connection:
        for table in ("patient", "ecw_link", "ecw_merge_base", "ecw_intent"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
    crm_id = crm.add(middle_name="Maria", city=None)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.ecw_id, pushed.fields) == ("updated", ecw_id, ("middle_name",))
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1
    assert ecw_record(sandbox, ecw_id)["name"][0]["given"] == ["Ewa", "Maria"]
    assert ("link", "done") in crm.journal()


def test_a_near_match_is_held_until_a_person_chooses(sandbox: Any, crm: Any, pushing: Any) -> None:
    create_patient(crm, pushing, first_name="Eva", identifier="ACC-7", mobile_phone="1")
    crm_id = crm.add()
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.outcome.kind) == ("held", JournalOutcome.LINK)
    assert push_patient(pushing("r3"), crm_id).status == "held"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    assert push_patient(pushing("r4"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 2


@pytest.mark.parametrize("fault", ["lose_response", "drop", "truncate"])
def test_after_a_lost_answer_the_patient_is_searched_for_before_it_is_sent_again(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    sandbox.fault(fault, interaction="transaction", times=1)
    crm_id = crm.add()
    assert push_patient(pushing(unknown_outcome_wait_seconds=60.0), crm_id).status == "unknown"
    assert push_patient(pushing(unknown_outcome_wait_seconds=60.0), crm_id).status == "unknown", "too early to search"
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.served("transaction") == 1
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1
    assert crm.journal() == [("create", "unknown"), ("settle", "done")]


@pytest.mark.parametrize("fault", ["hang", "server_error", "request_timeout"])
def test_a_patient_that_did_not_reach_ecw_is_sent_again_after_the_search(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    sandbox.fault(fault, interaction="transaction", times=1, seconds=0.1)
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "unknown"
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1


@pytest.mark.parametrize("shape", ["outcome", "empty", "entry_outcome", "no_location"])
def test_an_answer_without_a_result_is_settled_by_a_search(sandbox: Any, crm: Any, pushing: Any, shape: str) -> None:
    sandbox.fault("write_answer", interaction="transaction", value=shape, times=1)
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "unknown"
    assert intents.unsettled(crm.engine, pushing().place) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1


@pytest.mark.parametrize(
    ("code", "status", "posts"),
    [("103", "created", 2), ("118", "refused", 1), ("308", "failed", 1), ("201", "held", 1), ("202", "held", 1)],
)
def test_each_code_of_ecw_gives_its_status(
    sandbox: Any, crm: Any, pushing: Any, code: str, status: str, posts: int
) -> None:
    sandbox.fault("write_code", interaction="transaction", value=code, times=1)
    pushed = push_patient(pushing(), crm.add())
    assert (pushed.status, sandbox.served("transaction")) == (status, posts)
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + (1 if status == "created" else 0)
    [first, *_] = sorted(crm.all("ecw_journal"), key=lambda row: row["at"])
    assert first["code"] == code


@pytest.mark.parametrize("fault", ["lose_response", "hang", "server_error"])
def test_an_update_whose_outcome_is_unknown_is_merged_again(sandbox: Any, crm: Any, pushing: Any, fault: str) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault(fault, interaction="transaction", times=1, seconds=0.1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    assert push_patient(pushing("r3"), crm_id).status == ("unchanged" if fault == "lose_response" else "updated")
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Lawrence"
    assert intents.unsettled(crm.engine, pushing().place) == []


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_undoing_an_edit_whose_outcome_is_unknown_is_sent(
    sandbox: Any, crm: Any, pushing: Any, pull: Any, direction: str
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    crm.edit(crm_id, city="Topeka")
    if direction == "pull":
        pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
        assert crm.row(crm_id)["city"] == "Topeka"
    assert push_patient(pushing("r3"), crm_id).fields == ("city",)
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Topeka"


def test_two_unknown_outcomes_in_a_row_lose_nothing(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id  # not read back
    sandbox.fault("lose_response", interaction="transaction", times=2)
    crm.edit(crm_id, city="Lawrence", gender="Male")
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    crm.edit(crm_id, city="Salina", gender="Female")
    assert push_patient(pushing("r3"), crm_id).status == "unknown"
    push_patient(pushing("r4"), crm_id)
    found = ecw_record(sandbox, ecw_id)
    assert (found["gender"], found["address"][0]["city"]) == ("female", "Salina")
    assert crm.all("ecw_conflict") == []


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_later_edit_is_sent_after_the_value_returned_to_the_merge_base_with_unknown_outcome(
    sandbox: Any, crm: Any, pushing: Any, pull: Any, direction: str
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)  # Topeka is in the merge base
    crm.edit(crm_id, city="Lawrence")
    assert push_patient(pushing("r2"), crm_id).status == "updated"  # not read back
    crm.edit(crm_id, city="Topeka")
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing("r3"), crm_id).status == "unknown"
    crm.edit(crm_id, city="Salina")
    if direction == "pull":
        pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
        assert crm.row(crm_id)["city"] == "Salina"
    assert push_patient(pushing("r4"), crm_id).fields == ("city",)
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Salina"
    assert crm.all("ecw_conflict") == []


def test_an_update_with_unknown_outcome_is_not_sent_again_before_the_wait_is_over(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, _ = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault("hang", interaction="transaction", times=1, seconds=0.1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    calls = sandbox.counts()["total"]
    assert push_patient(pushing("r3", unknown_outcome_wait_seconds=60.0), crm_id).status == "unknown"
    assert sandbox.counts()["total"] - calls <= 1, "only /metadata"


def test_a_practice_that_requires_the_id_in_the_url_gets_it_for_the_rest_of_the_run(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, _ = create_patient(crm, pushing)
    sandbox.set(update_by="url")
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    assert push_patient(run, crm_id).status == "updated"
    crm.edit(crm_id, city="Topeka")
    before = sandbox.served("transaction")
    assert push_patient(run, crm_id).status == "updated"
    assert sandbox.served("transaction") == before + 1, "the run remembers it"


def test_a_plain_fhir_server_is_pushed_to_with_http_statuses(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.set(profile="fhir")
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    assert push_patient(pushing("r2"), crm_id).status == "updated"
    assert {row["http_status"] for row in crm.all("ecw_journal")} == {200, 201}
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Lawrence"


def test_ecws_spelling_of_a_pushed_value_is_learned_and_the_value_not_sent_again(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add(city="St. Louis")
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    stored = ecw_record(sandbox, ecw_id)
    edit_in_ecw(sandbox, ecw_id, address=[stored["address"][0] | {"city": "ST LOUIS"}])
    confirmed = confirm(pushing(), crm_id)
    assert set(confirmed.normalized_fields) == {"city", "identifier"}
    assert confirmed.complete
    assert push_patient(pushing("r2"), crm_id).status == "unchanged"
    assert (crm.row(crm_id)["city"], sandbox.served("transaction")) == ("St. Louis", 1)


def test_an_edit_of_the_clinic_right_after_the_push_is_not_mistaken_for_a_spelling(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    edit_in_ecw(sandbox, ecw_id, gender="unknown")
    confirmed = confirm(pushing(), crm_id)
    assert (confirmed.complete, "gender" in confirmed.normalized_fields) == (False, False)
    crm.edit(crm_id, gender="Male")
    push_patient(pushing("r2"), crm_id)
    assert ecw_record(sandbox, ecw_id)["gender"] == "unknown"
    assert [row["column"] for row in crm.all("ecw_conflict")] == ["gender"]


def test_a_patient_that_is_locked_missing_excluded_or_stopped_is_not_sent(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add(emr_updates_locked=True)
    assert push_patient(pushing(), crm_id).status == "locked"
    assert push_patient(pushing(), "4711").status == "missing"
    crm.edit(crm_id, emr_updates_locked=False)
    assert push_patient(pushing(create=False), crm_id).status == "skipped"
    assert push_patient(pushing(allowed=lambda: False), crm_id).status == "stopped"
    assert (sandbox.served("transaction"), crm.all("ecw_intent")) == (0, [])


def test_a_dry_run_returns_what_would_be_sent_and_writes_nothing(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    pushed = push_patient(pushing(dry_run=True), crm_id)
    assert pushed.status == "created"
    assert {"last_name", "birth_date"} <= set(pushed.fields)
    bad = crm.add(gender=None)
    assert push_patient(pushing(dry_run=True), bad).status == "rejected"
    assert sandbox.served("transaction") == 0
    for table in ("ecw_intent", "ecw_journal", "ecw_link", "ecw_reject", "ecw_merge_base"):
        assert crm.all(table) == []


def test_a_patient_that_a_pull_linked_to_another_row_after_a_lost_answer_is_held(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    sandbox.fault("lose_response", interaction="transaction", times=1)
    crm_id, other = crm.add(), crm.add(last_name="Pulled")
    push_patient(pushing(), crm_id)
    [ecw_id] = [each["id"] for each in sandbox.records("Patient") if each["name"][0]["family"] == "Kowalczyk"]
    with crm.engine.begin() as connection:
        assert pushing().patients.link(connection, other, ecw_id, MergeBase(), "pull")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert {row["crm_id"] for row in crm.all("ecw_link")} == {other}


def test_a_patient_that_a_pull_links_to_another_row_during_the_create_is_held_with_the_reason(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, other = crm.add(), crm.add(last_name="Pulled")
    run = pushing()
    transact = run.client.transact

    def transact_and_link(*request: Any, **options: Any) -> Any:
        answer = transact(*request, **options)
        [ecw_id] = [each["id"] for each in sandbox.records("Patient") if each["name"][0]["family"] == "Kowalczyk"]
        with crm.engine.begin() as connection:
            assert run.patients.link(connection, other, ecw_id, MergeBase(), "pull")
        return answer

    run.client.transact = transact_and_link
    pushed = push_patient(run, crm_id)
    reason, next_step = describe_result(pushed)
    assert (pushed.status, reason) == ("held", "Held (link): it is linked to another record of the CRM")
    assert f"`ecw matches choose {crm_id} new`" in str(next_step)
    [link] = crm.all("ecw_link")
    assert (link["crm_id"], link["ecw_id"]) == (other, pushed.ecw_id)
    entry = max(crm.all("ecw_journal"), key=lambda row: row["at"])
    assert (entry["operation"], entry["message"], entry["next_step"]) == ("create", reason, next_step)


def test_no_value_of_a_patient_reaches_the_log_the_journal_or_rejects(
    sandbox: Any, crm: Any, pushing: Any, caplog: Any
) -> None:
    caplog.set_level("DEBUG")
    sandbox.fault("write_code", interaction="transaction", value="118", times=1)
    shown = [push_patient(pushing(), crm.add(identifier=f"A{at}", first_name=name)) for at, name in enumerate("XY")]
    for output in (caplog.text, repr(shown), repr(crm.all("ecw_journal")), repr(crm.all("ecw_reject"))):
        for value in ("Kowalczyk", "9135552003", "1980"):
            assert value not in output
