"""A push sends and records only its own decision: with a valid claim, for the current row, on the version it read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from ecw.crm.db.enums import JournalOutcome
from ecw.crm.db.tables import ecw_claim, ecw_intent, ecw_link
from ecw.crm.load.load import one_at_a_time
from ecw.errors import CrmSchemaError
from ecw.push import intents, steps
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.fixtures.crm import on_postgresql
from tests.push.patient.test_push import INITIAL_PATIENTS, create_patient, ecw_record, edit_in_ecw


def before_request(client: Any, act: Callable[[], None], *, after: bool = False, times: int = 1) -> list[Any]:
    """Call `act` right before (or `after`) the client's first `times` writes; return the list of sent requests."""
    sent: list[Any] = []
    transact = client.transact

    def transacting(request: Any, **options: Any) -> Any:
        sent.append(request)
        if not after and len(sent) <= times:
            act()
        answer = transact(request, **options)
        if after and len(sent) <= times:
            act()
        return answer

    client.transact = transacting
    return sent


def before_search(run: Any, act: Callable[[], Any], nth: int = 1) -> None:
    """Call `act` before the client's nth search."""
    search, count = run.client.search, iter(range(1, 1_000))

    def searching(*arguments: Any, **options: Any) -> Any:
        if next(count) == nth:
            act()
        return search(*arguments, **options)

    run.client.search = searching


def take_over(crm: Any) -> Callable[[], None]:
    """Return a function that takes over every claim as another worker."""

    def take_claims() -> None:
        with crm.engine.begin() as connection:
            connection.execute(update(ecw_claim).values(token=ecw_claim.c.token + 1, holder="elsewhere 1 1"))

    return take_claims


def release_claims(crm: Any) -> None:
    with crm.engine.begin() as connection:
        connection.execute(update(ecw_claim).values(holder=None))


# -- claims


def test_a_worker_that_lost_its_claim_before_the_request_sends_nothing(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, run = crm.add(), pushing()
    before_search(run, take_over(crm))
    assert push_patient(run, crm_id).status == "busy"
    assert sandbox.served("transaction") == 0
    assert crm.all("ecw_intent") == []
    assert crm.journal() == [("fenced", "unknown")]


def test_a_worker_that_lost_its_claim_during_the_request_writes_nothing_and_the_next_one_links_it(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, run = crm.add(), pushing()
    before_request(run.client, take_over(crm), after=True)
    assert push_patient(run, crm_id).status == "busy"
    assert crm.all("ecw_link") == []
    assert intents.unsettled(crm.engine, run.place) == [crm_id]
    release_claims(crm)
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert (sandbox.held()["Patient"], sandbox.served("transaction")) == (INITIAL_PATIENTS + 1, 1)


def test_an_update_whose_claim_was_lost_is_not_sent(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, _ = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    run, sent = pushing("r2"), sandbox.served("transaction")
    read = run.client.read

    def reading(*arguments: Any) -> Any:
        take_over(crm)()
        return read(*arguments)

    run.client.read = reading
    assert push_patient(run, crm_id).status == "busy"
    assert sandbox.served("transaction") == sent
    release_claims(crm)
    assert push_patient(pushing("r3"), crm_id).status == "updated"


def test_a_claim_lasts_longer_than_any_request(crm: Any, pushing: Any) -> None:
    run, seconds_left = pushing(), []

    def read_claims() -> None:
        seconds_left.extend((row["until"] - datetime.now(UTC)).total_seconds() for row in crm.all("ecw_claim"))

    before_request(run.client, read_claims)
    assert push_patient(run, crm.add()).status == "created"
    assert len(seconds_left) == 2, "the claim of the patient, and that of its birth date"
    assert min(seconds_left) > 2 * run.client.transport.limits.answer_seconds


# -- the row


@pytest.mark.parametrize(
    ("edit", "status"),
    [
        ({"city": "Lawrence"}, "created"),
        ({"last_name": "Szymanski", "birth_date": "1970-03-04"}, "created"),
        ({"emr_updates_locked": True}, "locked"),
        ({"gender": "Other"}, "rejected"),
    ],
)
def test_a_create_sends_the_row_as_it_is_at_that_moment(
    sandbox: Any, crm: Any, pushing: Any, edit: dict[str, Any], status: str
) -> None:
    crm_id, run = crm.add(), pushing()
    before_search(run, lambda: crm.edit(crm_id, **edit))
    pushed = push_patient(run, crm_id)
    assert (pushed.status, sandbox.held()["Patient"]) == (status, INITIAL_PATIENTS + (status == "created"))
    if status == "created":
        found = ecw_record(sandbox, pushed.ecw_id)
        row = crm.row(crm_id)
        shown = (found["name"][0]["family"], found["birthDate"], found["address"][0]["city"])
        assert shown == (row["last_name"], str(row["birth_date"]), row["city"])
        assert list(outbox(pushing())) == []


def test_a_row_that_gets_a_link_or_an_ecw_id_during_the_search_is_not_created(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    other_ecw_id = sandbox.records("Patient")[0]["id"]
    typed, linked = crm.add(), crm.add(identifier="ACC-2", last_name="Szymanski", birth_date="1970-03-04", phone=None)

    def link() -> None:
        row = {
            "practice": sandbox.practice,
            "resource": "patient",
            "ecw_id": other_ecw_id,
            "crm_id": linked,
            "hash": "",
        }
        with crm.engine.begin() as connection:
            connection.execute(insert(ecw_link).values(row | {"mapping_version": "m", "last_seen_run": "r"}))

    for crm_id, act in ((typed, lambda: crm.edit(typed, ecw_id="e.1")), (linked, link)):
        run = pushing()
        before_search(run, act)
        assert push_patient(run, crm_id).status != "created"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS


def test_a_row_that_changes_during_the_matching_is_matched_again(sandbox: Any, crm: Any, pushing: Any) -> None:
    """The row matched a patient of eCW, and is another person's before the link is written."""
    _, ecw_id = create_patient(crm, pushing)
    with crm.engine.begin() as connection:
        for table in (ecw_link, ecw_intent):
            connection.execute(delete(table))
    crm_id, run = crm.add(), pushing("r2")
    other = {"last_name": "Szymanski", "first_name": "Olga", "birth_date": "1970-03-04", "identifier": "ACC-9"}
    before_search(run, lambda: crm.edit(crm_id, **other, phone="9135550000"))
    pushed = push_patient(run, crm_id)
    assert (pushed.status, pushed.ecw_id != ecw_id) == ("created", True)


def test_a_row_that_changes_during_every_search_is_left_to_the_next_run(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, run = crm.add(), pushing()
    edits = iter(range(1_000))
    search = run.client.search

    def searching(*arguments: Any, **options: Any) -> Any:
        crm.edit(crm_id, city=f"City {next(edits)}")
        return search(*arguments, **options)

    run.client.search = searching
    assert push_patient(run, crm_id).status == "busy"
    assert sandbox.served("transaction") == 0
    assert push_patient(pushing("r2"), crm_id).status == "created"


# -- the searches that decide


def test_a_search_that_decides_a_create_is_not_answered_from_a_cache(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.set(cache_seconds=60)
    one, two = crm.add(), crm.add()
    run = pushing()
    assert push_patient(run, one).status == "created"
    assert push_patient(run, two).status == "held", "eCW has the patient of the first row"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1


def test_a_patient_that_the_clinic_adds_between_two_runs_is_not_hidden_by_a_cache(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    sandbox.set(cache_seconds=60)
    crm_id = crm.add(phone=None)
    sandbox.fault("refuse", interaction="transaction", value="503")
    push_patient(pushing(), crm_id)
    sandbox.clear_faults()
    person = {"resourceType": "Patient", "id": "e.1", "birthDate": "1980-01-02", "gender": "female"}
    person |= {"name": [{"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}]}
    person |= {"identifier": [{"use": "usual", "system": "urn:oid:1", "value": "e.1"}]}
    sandbox.put(person)
    push_patient(pushing("r2"), crm_id)
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1, "only the clinic's patient"


def test_a_patient_that_the_clinic_adds_during_the_searches_is_found(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, run = crm.add(phone=None), pushing()
    person = {"resourceType": "Patient", "id": "e.1", "birthDate": "1980-01-02", "gender": "female"}
    person |= {"name": [{"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}]}
    person |= {"identifier": [{"use": "usual", "system": "urn:oid:1", "value": "e.1"}]}
    find = run.matcher.find

    def finding(sought: Any) -> Any:
        found = find(sought)
        sandbox.put(person)
        return found

    run.matcher.find = finding
    push_patient(run, crm_id)
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1, "only the clinic's patient"
    assert "create" not in [operation for operation, _ in crm.journal()]


# -- versions


@pytest.mark.parametrize("status", [409, 412])
@pytest.mark.parametrize("profile", ["ecw", "fhir"])
def test_with_versions_an_edit_of_the_clinic_between_read_and_write_is_not_overwritten(
    sandbox: Any, crm: Any, pushing: Any, profile: str, status: int
) -> None:
    sandbox.set(versions=True, stale_status=status, profile=profile)
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    mother = [{"name": {"family": "Mother"}}]
    sent = before_request(run.client, lambda: edit_in_ecw(sandbox, ecw_id, contact=mother, gender="unknown"))
    pushed = push_patient(run, crm_id)
    assert (pushed.status, pushed.fields, len(sent)) == ("updated", ("city",), 2)
    found = ecw_record(sandbox, ecw_id)
    assert (found["contact"], found["gender"], found["address"][0]["city"]) == (mother, "unknown", "Lawrence")
    updates = [outcome for operation, outcome in crm.journal() if operation == "update"]
    assert updates == ["try again later", "done"]


def test_a_version_conflict_in_every_attempt_leaves_the_patient_due(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.set(versions=True)
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    run, edits = pushing("r2"), iter(range(100))
    before_request(run.client, lambda: edit_in_ecw(sandbox, ecw_id, contact=[{"id": str(next(edits))}]), times=100)
    pushed = push_patient(run, crm_id)
    assert (pushed.status, pushed.outcome.kind, pushed.outcome.http) == ("later", JournalOutcome.LATER, 409)
    assert list(outbox(pushing())) == [crm_id]
    assert push_patient(pushing("r3"), crm_id).status == "updated"


@pytest.mark.parametrize("versions", [True, False])
@pytest.mark.parametrize("revives", [True, False])
def test_an_update_of_a_patient_that_was_deleted_meanwhile_is_refused_with_the_reason(
    sandbox: Any, crm: Any, pushing: Any, revives: bool, versions: bool
) -> None:
    sandbox.set(profile="fhir", versions=versions, revives=revives)
    crm_id, ecw_id = create_patient(crm, pushing)
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    before_request(run.client, lambda: sandbox.delete("Patient", ecw_id))
    pushed = push_patient(run, crm_id)
    assert pushed.status == "refused"
    assert "delet" in pushed.outcome.next_step
    recreated = ecw_id in {each["id"] for each in sandbox.records("Patient")}
    assert recreated == (revives and not versions)
    if recreated:
        assert "created it anew" in pushed.outcome.message
    if not versions:  # with versions the record was read again, and each run checks whether it is back
        assert list(outbox(pushing())) == [], "a person must act"


# -- after 103 and 104


@pytest.mark.parametrize("operation", ["create", "update"])
@pytest.mark.parametrize("code", ["103", "104"])
def test_after_103_and_104_the_push_waits_before_it_searches_and_sends_once_more(
    sandbox: Any, crm: Any, pushing: Any, operation: str, code: str
) -> None:
    crm_id = crm.add()
    if operation == "update":
        assert push_patient(pushing(), crm_id).status == "created"
        crm.edit(crm_id, city="Lawrence")
    sandbox.fault("write_code", interaction="transaction", value=code, times=1)
    run, states = pushing("r2", unknown_outcome_wait_seconds=0.03), []

    def sleep(seconds: float) -> None:
        [intent] = crm.all("ecw_intent")
        states.append((seconds, intent["state"], sandbox.served("transaction")))

    run.sleep = sleep
    sent = sandbox.served("transaction")
    assert push_patient(run, crm_id).status == f"{operation}d"
    assert states == [(0.03, intents.UNKNOWN, sent + 1)]
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1


def test_a_create_that_ecw_made_although_it_answered_103_is_found_after_the_wait(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, run = crm.add(), pushing()
    transact = run.client.transact

    def transacting(request: Any, **options: Any) -> Any:
        transact(request, **options)
        return {"resourceType": "Bundle", "entry": [{"response": {"status": "103"}}]}

    run.client.transact = transacting
    assert push_patient(run, crm_id).status == "created"
    assert sandbox.held()["Patient"] == INITIAL_PATIENTS + 1


# -- links


def test_a_patient_that_a_pull_has_linked_to_another_id_is_held(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, run = crm.add(), pushing()
    link_of_the_pull = {"practice": sandbox.practice, "resource": "patient", "crm_id": crm_id, "ecw_id": "e.other"}
    link_of_the_pull |= {"hash": "", "mapping_version": "m", "last_seen_run": "r"}

    def link() -> None:
        with crm.engine.begin() as connection:
            connection.execute(insert(ecw_link).values(link_of_the_pull))

    before_request(run.client, link, after=True)
    assert push_patient(run, crm_id).status == "held"
    assert [row["ecw_id"] for row in crm.all("ecw_link")] == ["e.other"]


def test_a_row_of_the_crm_has_one_link(crm: Any, sandbox: Any) -> None:
    row = {"practice": sandbox.practice, "resource": "patient", "crm_id": "1", "hash": "", "mapping_version": "m"}
    two = [row | {"ecw_id": ecw_id, "last_seen_run": "r"} for ecw_id in ("a", "b")]
    with pytest.raises(CrmSchemaError, match=r"CONSTRAINT_UNIQUE|23505"), crm.engine.begin() as connection:
        connection.execute(insert(ecw_link), two)


@on_postgresql
def test_a_link_of_the_push_and_a_load_of_the_pull_wait_for_each_other(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, run, status = crm.add(), pushing(), []
    with crm.engine.begin() as load:
        one_at_a_time(load, sandbox.practice, "patient")
        push = Thread(target=lambda: status.append(push_patient(run, crm_id).status))
        push.start()
        while sandbox.served("transaction") == 0:
            assert push.is_alive()
        push.join(timeout=0.5)
        assert status == [], "the push waits for the load"
    push.join()
    assert status == ["created"]


def test_a_readback_whose_claim_was_lost_writes_nothing(crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "created"
    run = pushing()
    read = run.client.read

    def reading(*arguments: Any) -> Any:
        take_over(crm)()
        return read(*arguments)

    run.client.read = reading
    assert not confirm(run, crm_id).seen
    [merge_base] = crm.all("ecw_merge_base")
    assert merge_base["sent"], "the sent values are still unconfirmed"


def test_without_versions_an_edit_of_the_clinic_at_the_same_time_is_a_conflict_that_names_the_field(
    sandbox: Any, crm: Any, run: Any
) -> None:
    crm_id = crm.add()
    run()
    crm.edit(crm_id, city="Lawrence", phone="9135557777")
    push = run.begin()
    steps.send(push)
    ecw_id = crm.row(crm_id)["ecw_id"]
    address = ecw_record(sandbox, ecw_id)["address"][0]
    edit_in_ecw(sandbox, ecw_id, address=[address | {"city": "Wichita"}])
    steps.confirm(push)
    [conflict] = crm.all("ecw_conflict")
    assert (conflict["column"], conflict["winner"]) == ("city", "emr")
    assert (conflict["crm_value"], conflict["emr_value"]) == ('"Lawrence"', '"Wichita"')
    [shown] = steps.summary(push)["shown"]
    assert "edited it at the same time: city" in shown["reason"]
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Wichita", "the clinic's value stays"
    assert run()["patients"] == 0
