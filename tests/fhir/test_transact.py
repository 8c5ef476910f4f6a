"""Writes to eCW: never sent twice when the outcome is unknown, and never logged."""

import logging

import pytest

from ecw.errors import AccessDenied, BadRequest, ConnectionFailed, OutcomeUnknown, RateLimited, ServerUnavailable
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy

PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"use": "usual", "system": "urn:oid:2.16.840.1.113883.4.391.326070", "value": "ACC-1"}],
    "name": [{"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}],
    "gender": "female",
    "birthDate": "1980-01-02",
}


def bundle(**changes):
    entry = {"resource": PATIENT | changes, "request": {"method": "POST", "url": "Patient"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


@pytest.fixture
def patient_client(sandbox, connect):
    """Return a client that makes up to five attempts without waiting."""
    return connect(sandbox, retrier=Retrier(RetryPolicy(5, seconds=0), Circuit(), sleep=lambda seconds: None))


def patients(sandbox) -> int:
    return sandbox.held()["Patient"]


def posts(sandbox) -> int:
    return sandbox.served("transaction")


def test_a_created_patient_is_answered_with_ecws_own_code(sandbox, patient_client):
    answer = patient_client.transact(bundle())
    response = answer["entry"][0]["response"]
    assert response["status"] == "1"
    assert "Patient/" in response["location"]
    assert patients(sandbox) == 121


def test_a_refusal_with_ecws_own_code_is_returned_and_not_raised(sandbox, patient_client):
    patient_client.transact(bundle())
    assert patient_client.transact(bundle())["entry"][0]["response"]["status"] == "202"
    assert patients(sandbox) == 121


@pytest.mark.parametrize("fault", ["lose_response", "drop", "truncate", "server_error", "request_timeout"])
def test_a_write_whose_outcome_is_unknown_is_never_sent_twice(sandbox, patient_client, fault):
    sandbox.fault(fault, interaction="transaction")
    with pytest.raises(OutcomeUnknown) as unknown:
        patient_client.transact(bundle())
    assert "search for the patient in eCW" in unknown.value.next_step
    assert posts(sandbox) == 1
    assert patients(sandbox) <= 121


@pytest.mark.parametrize("status", [202, 204])
def test_a_success_status_without_a_body_leaves_the_outcome_unknown(wire, respond, sandbox, connect, status):
    wire.answer = lambda request: respond(request, status)
    with pytest.raises(OutcomeUnknown):
        connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url).transact(bundle())
    assert len(wire.requests) == 1


def test_a_write_without_an_answer_in_time_leaves_the_outcome_unknown(sandbox, connect):
    sandbox.fault("latency", interaction="transaction", seconds=5.0)
    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        connect(sandbox, timeout=2).transact(bundle())
    assert posts(sandbox) <= 1


@pytest.mark.parametrize("fault", ["too_many", "revoke_token"])
def test_a_write_that_the_server_did_not_process_is_sent_again(sandbox, patient_client, fault):
    sandbox.fault(fault, interaction="transaction", times=1)
    assert patient_client.transact(bundle())["entry"][0]["response"]["status"] == "1"
    assert posts(sandbox) == 2
    assert patients(sandbox) == 121


def test_a_quota_that_stays_used_up_is_rate_limited(sandbox, patient_client):
    sandbox.fault("too_many", interaction="transaction")
    with pytest.raises(RateLimited):
        patient_client.transact(bundle())


def test_without_a_token_the_outcome_is_not_unknown_because_nothing_was_sent(sandbox, patient_client):
    sandbox.fault("server_error", interaction="token")
    with pytest.raises(ServerUnavailable) as trouble:
        patient_client.transact(bundle())
    assert not isinstance(trouble.value, OutcomeUnknown)
    assert posts(sandbox) == 0


def test_without_a_connection_the_outcome_is_not_unknown_because_nothing_was_sent(sandbox, connect):
    client = connect(sandbox, base_url="http://127.0.0.1:1/fhir/r4/X", token_url=sandbox.token_url)
    with pytest.raises(ConnectionFailed):
        client.transact(bundle())


def test_a_bundle_that_ecw_refuses_is_sent_once(sandbox, patient_client):
    with pytest.raises(BadRequest, match="too-costly"):
        patient_client.transact(bundle() | {"entry": []})
    assert posts(sandbox) == 1


def test_a_write_without_its_scope_is_access_denied(sandbox, connect):
    with pytest.raises(AccessDenied):
        connect(sandbox, write_scopes=("system/Patient.u",)).transact(bundle())


def test_no_value_of_the_patient_is_logged_or_raised(sandbox, connect, caplog):
    caplog.set_level(logging.DEBUG)
    connect(sandbox).transact(bundle())
    sandbox.fault("server_error", interaction="transaction")
    with pytest.raises(OutcomeUnknown) as unknown:
        connect(sandbox).transact(bundle(birthDate="2001-05-27"))
    for text in (caplog.text, str(unknown.value)):
        assert "Kowalczyk" not in text
        assert "2001" not in text


def test_a_write_with_a_time_limit_is_sent_in_time_and_once_or_not_at_all(sandbox, patient_client):
    with pytest.raises(RateLimited):
        patient_client.transact(bundle(), within=-1.0)
    assert posts(sandbox) == 0
    sandbox.fault("too_many", interaction="transaction", times=1)
    with pytest.raises(RateLimited):
        patient_client.transact(bundle(), within=60.0)
    assert (posts(sandbox), patients(sandbox)) == (1, 120)
    assert patient_client.transact(bundle(), within=60.0)["entry"][0]["response"]["status"] == "1"
