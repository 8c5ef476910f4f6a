"""One patient from the CRM to eCW: created once, updated without overwriting, held, refused, recorded."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.state import conflicts
from ecw.push import intents
from ecw.push.messages import describe_result
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.rules.outcome import Kind
from ecw.three_way_merge import MergeBase
from tests.fixtures.sandbox import SMALL

BORN = SMALL["patients"]  # that the sandbox begins with


def created(crm: Any, pushing: Any, **changes: Any) -> tuple[str, str]:
    """Add a patient to the CRM and push it; return its id there and in eCW."""
    crm_id = crm.add(**changes)
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, bool(pushed.ecw_id)) == ("created", True)
    assert confirm(pushing(), crm_id).complete
    return crm_id, pushed.ecw_id


def in_ecw(sandbox: Any, ecw_id: str) -> dict[str, Any]:
    [found] = [each for each in sandbox.records("Patient") if each["id"] == ecw_id]
    return found


def clinic(sandbox: Any, ecw_id: str, **changes: Any) -> None:
    sandbox.put(in_ecw(sandbox, ecw_id) | changes)


def phone_of(patient: dict[str, Any]) -> str:
    return next(each["value"] for each in patient["telecom"] if each["system"] == "phone")


def test_a_new_patient_is_created_linked_and_known(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    assert in_ecw(sandbox, ecw_id)["name"][0]["family"] == "Kowalczyk"
    row = crm.row(crm_id)
    assert (row["ecw_id"], row["mr_number"]) == (ecw_id, "ACC-1")
    [link] = crm.all("ecw_link")
    assert (link["crm_id"], link["ecw_id"]) == (crm_id, ecw_id)
    assert link["hash"], "the next pull finds it unchanged"
    assert crm.journal() == [("create", "done")]
    [entry] = crm.all("ecw_journal")
    assert (entry["message"], entry["http_status"], entry["code"]) == ("200 OK", 200, "1")
    again = push_patient(pushing("r2"), crm_id)
    assert (again.status, again.fields) == ("unchanged", ())
    assert sandbox.served("transaction") == 1


@pytest.mark.both_databases
def test_a_crm_that_takes_no_ecw_id_has_its_patient_linked_and_created_once(
    sandbox: Any, crm: Any, pushing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The link holds without the id in the row; a patient that is in eCW is not sent again."""
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


def test_the_pull_that_follows_counts_the_patient_unchanged(sandbox: Any, crm: Any, pushing: Any) -> None:
    from ecw.crm.state import links
    from ecw.fhir.fingerprint import content_hash

    _, ecw_id = created(crm, pushing)
    known = links.known(crm.engine, pushing().place.practice, "patient")
    assert known.unchanged(ecw_id, content_hash(in_ecw(sandbox, ecw_id)), pushing().mapping.version)


def test_an_edit_of_the_crm_is_sent_and_nothing_else_is_touched(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    clinic(sandbox, ecw_id, contact=[{"name": {"family": "Mother"}}], gender="unknown")
    crm.edit(crm_id, city="Lawrence", phone="(913) 555-7777")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, set(pushed.fields)) == ("updated", {"city", "phone"})
    found = in_ecw(sandbox, ecw_id)
    assert (found["address"][0]["city"], phone_of(found)) == ("Lawrence", "9135557777")
    assert found["gender"] == "unknown", "the clinic's edit stays and waits for the pull"
    assert found["contact"] == [{"name": {"family": "Mother"}}]
    assert push_patient(pushing("r3"), crm_id).status == "unchanged"


def test_a_column_that_both_changed_and_is_held_stays_on_both_sides_until_a_person_chooses(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, ecw_id = created(crm, pushing)
    name = in_ecw(sandbox, ecw_id)["name"][0]
    clinic(sandbox, ecw_id, name=[name | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake", city="Lawrence")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields, pushed.conflicts) == ("updated", ("city",), ("last_name",))
    assert in_ecw(sandbox, ecw_id)["name"][0]["family"] == "Clinic"
    assert crm.row(crm_id)["last_name"] == "Intake"
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["column"], conflict["state"], conflict["winner"]) == ("last_name", "open", None)
    assert push_patient(pushing("r3"), crm_id).status == "unchanged"
    practice = pushing().place.practice
    assert conflicts.choose(crm.engine, conflicts.Field(practice, "patient", crm_id, "last_name"), "crm", "tester")
    assert push_patient(pushing("r4"), crm_id).fields == ("last_name",)
    assert in_ecw(sandbox, ecw_id)["name"][0]["family"] == "Intake"
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["state"], conflict["winner"]) == ("settled", "crm")


def test_a_choice_is_void_once_a_value_has_changed_again(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    name = in_ecw(sandbox, ecw_id)["name"][0]
    clinic(sandbox, ecw_id, name=[name | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake")
    push_patient(pushing("r2"), crm_id)
    conflicts.choose(
        crm.engine, conflicts.Field(pushing().place.practice, "patient", crm_id, "last_name"), "crm", "tester"
    )
    clinic(sandbox, ecw_id, name=[name | {"family": "Clinic Again"}])
    assert push_patient(pushing("r3"), crm_id).conflicts == ("last_name",)
    assert in_ecw(sandbox, ecw_id)["name"][0]["family"] == "Clinic Again"


def test_ecw_wins_where_the_rule_says_so_and_the_conflict_is_recorded(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    clinic(sandbox, ecw_id, gender="unknown")
    crm.edit(crm_id, gender="Male")
    assert push_patient(pushing("r2"), crm_id).status == "unchanged"
    assert in_ecw(sandbox, ecw_id)["gender"] == "unknown"
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["state"], conflict["winner"], conflict["crm_value"]) == ("settled", "emr", '"Male"')


def test_a_bad_patient_is_a_reject_with_field_and_next_step_until_it_is_fixed(
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


def test_a_patient_that_ecw_has_is_linked_and_its_gaps_filled(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = created(crm, pushing)
    with crm.engine.begin() as connection:
        for table in ("patient", "ecw_link", "ecw_merge_base", "ecw_intent"):
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
    crm_id = crm.add(middle_name="Maria", city=None)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.ecw_id, pushed.fields) == ("updated", ecw_id, ("middle_name",))
    assert sandbox.held()["Patient"] == BORN + 1
    assert in_ecw(sandbox, ecw_id)["name"][0]["given"] == ["Ewa", "Maria"]
    assert ("link", "done") in crm.journal()


def test_a_near_match_is_held_until_a_person_chooses(sandbox: Any, crm: Any, pushing: Any) -> None:
    created(crm, pushing, first_name="Eva", identifier="ACC-7", mobile_phone="1")
    crm_id = crm.add()
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.outcome.kind) == ("held", Kind.LINK)
    assert push_patient(pushing("r3"), crm_id).status == "held"
    assert sandbox.held()["Patient"] == BORN + 1
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    assert push_patient(pushing("r4"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == BORN + 2


@pytest.mark.parametrize("fault", ["lose_response", "drop", "truncate"])
def test_an_answer_that_was_lost_is_searched_for_before_anything_is_sent_again(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    sandbox.fault(fault, interaction="transaction", times=1)
    crm_id = crm.add()
    assert push_patient(pushing(unknown_outcome_wait_seconds=60.0), crm_id).status == "unknown"
    assert push_patient(pushing(unknown_outcome_wait_seconds=60.0), crm_id).status == "unknown", "too early to tell"
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.served("transaction") == 1
    assert sandbox.held()["Patient"] == BORN + 1
    assert crm.journal() == [("create", "unknown"), ("settle", "done")]


@pytest.mark.parametrize("fault", ["hang", "server_error", "request_timeout"])
def test_what_did_not_reach_ecw_is_sent_again_after_the_search(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    sandbox.fault(fault, interaction="transaction", times=1, seconds=0.1)
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "unknown"
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == BORN + 1


@pytest.mark.parametrize("shape", ["outcome", "empty", "entry_outcome", "no_location"])
def test_an_answer_that_does_not_say_it_is_settled_by_searching(
    sandbox: Any, crm: Any, pushing: Any, shape: str
) -> None:
    sandbox.fault("write_answer", interaction="transaction", value=shape, times=1)
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "unknown"
    assert intents.unsettled(crm.engine, pushing().place) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == BORN + 1


@pytest.mark.parametrize(
    ("code", "status", "posts"),
    [("103", "created", 2), ("118", "refused", 1), ("308", "failed", 1), ("201", "held", 1), ("202", "held", 1)],
)
def test_ecw_s_codes(sandbox: Any, crm: Any, pushing: Any, code: str, status: str, posts: int) -> None:
    sandbox.fault("write_code", interaction="transaction", value=code, times=1)
    pushed = push_patient(pushing(), crm.add())
    assert (pushed.status, sandbox.served("transaction")) == (status, posts)
    assert sandbox.held()["Patient"] == BORN + (1 if status == "created" else 0)
    [first, *_] = sorted(crm.all("ecw_journal"), key=lambda row: row["at"])
    assert first["code"] == code


@pytest.mark.parametrize("fault", ["lose_response", "hang", "server_error"])
def test_an_update_whose_outcome_is_unknown_is_merged_again(sandbox: Any, crm: Any, pushing: Any, fault: str) -> None:
    crm_id, ecw_id = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault(fault, interaction="transaction", times=1, seconds=0.1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    assert push_patient(pushing("r3"), crm_id).status == ("unchanged" if fault == "lose_response" else "updated")
    assert in_ecw(sandbox, ecw_id)["address"][0]["city"] == "Lawrence"
    assert intents.unsettled(crm.engine, pushing().place) == []


@pytest.mark.parametrize("way", ["push", "pull"])
def test_an_edit_that_is_taken_back_while_its_outcome_is_unknown_is_not_lost(
    sandbox: Any, crm: Any, pushing: Any, pull: Any, way: str
) -> None:
    crm_id, ecw_id = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    crm.edit(crm_id, city="Topeka")
    if way == "pull":
        pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
        assert crm.row(crm_id)["city"] == "Topeka"
    assert push_patient(pushing("r3"), crm_id).fields == ("city",)
    assert in_ecw(sandbox, ecw_id)["address"][0]["city"] == "Topeka"


def test_two_unknown_outcomes_in_a_row_lose_nothing(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id  # and not read back
    sandbox.fault("lose_response", interaction="transaction", times=2)
    crm.edit(crm_id, city="Lawrence", gender="Male")
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    crm.edit(crm_id, city="Salina", gender="Female")
    assert push_patient(pushing("r3"), crm_id).status == "unknown"
    push_patient(pushing("r4"), crm_id)
    found = in_ecw(sandbox, ecw_id)
    assert (found["gender"], found["address"][0]["city"]) == ("female", "Salina")
    assert crm.all("ecw_conflict") == []


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_value_that_goes_back_to_what_was_agreed_while_its_outcome_is_unknown_loses_no_later_edit(
    sandbox: Any, crm: Any, pushing: Any, pull: Any, way: str
) -> None:
    crm_id, ecw_id = created(crm, pushing)  # Topeka is agreed
    crm.edit(crm_id, city="Lawrence")
    assert push_patient(pushing("r2"), crm_id).status == "updated"  # and not read back
    crm.edit(crm_id, city="Topeka")
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing("r3"), crm_id).status == "unknown"
    crm.edit(crm_id, city="Salina")
    if way == "pull":
        pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
        assert crm.row(crm_id)["city"] == "Salina"
    assert push_patient(pushing("r4"), crm_id).fields == ("city",)
    assert in_ecw(sandbox, ecw_id)["address"][0]["city"] == "Salina"
    assert crm.all("ecw_conflict") == []


def test_an_update_is_not_sent_again_while_ecw_may_still_be_at_it(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, _ = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    sandbox.fault("hang", interaction="transaction", times=1, seconds=0.1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    asked = sandbox.counts()["total"]
    assert push_patient(pushing("r3", unknown_outcome_wait_seconds=60.0), crm_id).status == "unknown"
    assert sandbox.counts()["total"] - asked <= 1, "nothing but /metadata"


def test_a_practice_that_wants_the_id_in_the_url(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, _ = created(crm, pushing)
    sandbox.set(update_by="url")
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    assert push_patient(run, crm_id).status == "updated"
    crm.edit(crm_id, city="Topeka")
    before = sandbox.served("transaction")
    assert push_patient(run, crm_id).status == "updated"
    assert sandbox.served("transaction") == before + 1, "it is remembered for the run"


def test_a_plain_fhir_server(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.set(profile="fhir")
    crm_id, ecw_id = created(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    assert push_patient(pushing("r2"), crm_id).status == "updated"
    assert {row["http_status"] for row in crm.all("ecw_journal")} == {200, 201}
    assert in_ecw(sandbox, ecw_id)["address"][0]["city"] == "Lawrence"


def test_a_spelling_of_ecw_s_own_is_learned_and_not_sent_again(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add(city="St. Louis")
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    stored = in_ecw(sandbox, ecw_id)
    clinic(sandbox, ecw_id, address=[stored["address"][0] | {"city": "ST LOUIS"}])
    confirmed = confirm(pushing(), crm_id)
    assert set(confirmed.normalized_fields) == {"city", "identifier"}
    assert confirmed.complete
    assert push_patient(pushing("r2"), crm_id).status == "unchanged"
    assert (crm.row(crm_id)["city"], sandbox.served("transaction")) == ("St. Louis", 1)


def test_an_edit_of_the_clinic_right_after_the_push_is_not_taken_for_a_spelling(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    clinic(sandbox, ecw_id, gender="unknown")
    confirmed = confirm(pushing(), crm_id)
    assert (confirmed.complete, "gender" in confirmed.normalized_fields) == (False, False)
    crm.edit(crm_id, gender="Male")
    push_patient(pushing("r2"), crm_id)
    assert in_ecw(sandbox, ecw_id)["gender"] == "unknown"
    assert [row["column"] for row in crm.all("ecw_conflict")] == ["gender"]


def test_a_patient_that_is_locked_missing_or_not_wanted(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add(emr_updates_locked=True)
    assert push_patient(pushing(), crm_id).status == "locked"
    assert push_patient(pushing(), "4711").status == "missing"
    crm.edit(crm_id, emr_updates_locked=False)
    assert push_patient(pushing(create=False), crm_id).status == "skipped"
    assert push_patient(pushing(allowed=lambda: False), crm_id).status == "stopped"
    assert (sandbox.served("transaction"), crm.all("ecw_intent")) == (0, [])


def test_a_dry_run_says_what_would_be_sent_and_moves_nothing(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    pushed = push_patient(pushing(dry_run=True), crm_id)
    assert pushed.status == "created"
    assert {"last_name", "birth_date"} <= set(pushed.fields)
    bad = crm.add(gender=None)
    assert push_patient(pushing(dry_run=True), bad).status == "rejected"
    assert sandbox.served("transaction") == 0
    for table in ("ecw_intent", "ecw_journal", "ecw_link", "ecw_reject", "ecw_merge_base"):
        assert crm.all(table) == []


def test_a_patient_whom_a_pull_linked_to_another_row_meanwhile_is_held(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.fault("lose_response", interaction="transaction", times=1)
    crm_id, other = crm.add(), crm.add(last_name="Pulled")
    push_patient(pushing(), crm_id)
    [ecw_id] = [each["id"] for each in sandbox.records("Patient") if each["name"][0]["family"] == "Kowalczyk"]
    with crm.engine.begin() as connection:
        assert pushing().patients.link(connection, other, ecw_id, MergeBase(), "pull")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert {row["crm_id"] for row in crm.all("ecw_link")} == {other}


def test_a_patient_whom_a_pull_links_to_another_row_while_it_is_created_is_held_with_the_reason(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, other = crm.add(), crm.add(last_name="Pulled")
    run = pushing()
    transact = run.client.transact

    def pulled_meanwhile(*request: Any, **how: Any) -> Any:
        answer = transact(*request, **how)
        [ecw_id] = [each["id"] for each in sandbox.records("Patient") if each["name"][0]["family"] == "Kowalczyk"]
        with crm.engine.begin() as connection:
            assert run.patients.link(connection, other, ecw_id, MergeBase(), "pull")
        return answer

    run.client.transact = pulled_meanwhile
    pushed = push_patient(run, crm_id)
    reason, next_step = describe_result(pushed)
    assert (pushed.status, reason) == ("held", "Held (link): it is linked to another record of the CRM")
    assert f"`ecw matches choose {crm_id} new`" in str(next_step)
    [link] = crm.all("ecw_link")
    assert (link["crm_id"], link["ecw_id"]) == (other, pushed.ecw_id)
    told = max(crm.all("ecw_journal"), key=lambda row: row["at"])
    assert (told["operation"], told["message"], told["next_step"]) == ("create", reason, next_step)


def test_no_value_leaves_the_crm_but_to_ecw(sandbox: Any, crm: Any, pushing: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    sandbox.fault("write_code", interaction="transaction", value="118", times=1)
    shown = [push_patient(pushing(), crm.add(identifier=f"A{at}", first_name=name)) for at, name in enumerate("XY")]
    for told in (caplog.text, repr(shown), repr(crm.all("ecw_journal")), repr(crm.all("ecw_reject"))):
        for value in ("Kowalczyk", "9135552003", "1980"):
            assert value not in told
