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
    """A client that would try again and again, without waiting."""
    return connect(sandbox, trying=Retrier(RetryPolicy(5, seconds=0), Circuit(), sleep=lambda seconds: None))


def patients(sandbox) -> int:
    return sandbox.held()["Patient"]


def posts(sandbox) -> int:
    return sandbox.served("transaction")


def test_a_patient_is_created_and_ecws_own_code_comes_back(sandbox, patient_client):
    answer = patient_client.transact(bundle())
    response = answer["entry"][0]["response"]
    assert response["status"] == "1"
    assert "Patient/" in response["location"]
    assert patients(sandbox) == 121


def test_a_refusal_in_ecws_codes_is_an_answer_too(sandbox, patient_client):
    patient_client.transact(bundle())
    assert patient_client.transact(bundle())["entry"][0]["response"]["status"] == "202"
    assert patients(sandbox) == 121


@pytest.mark.parametrize("fault", ["lose_response", "drop", "truncate", "server_error", "request_timeout"])
def test_a_write_that_may_have_been_done_is_never_sent_twice(sandbox, patient_client, fault):
    sandbox.fault(fault, interaction="transaction")
    with pytest.raises(OutcomeUnknown) as unknown:
        patient_client.transact(bundle())
    assert "search for the patient in eCW" in unknown.value.next_step
    assert posts(sandbox) == 1
    assert patients(sandbox) <= 121


@pytest.mark.parametrize("status", [202, 204])
def test_a_success_without_ecws_word_leaves_it_unknown(wire, says, sandbox, connect, status):
    wire.answer = lambda request: says(request, status)
    with pytest.raises(OutcomeUnknown):
        connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url).transact(bundle())
    assert len(wire.asked) == 1


def test_no_answer_in_time(sandbox, connect):
    sandbox.fault("latency", interaction="transaction", seconds=5.0)
    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        connect(sandbox, timeout=2).transact(bundle())
    assert posts(sandbox) <= 1


@pytest.mark.parametrize("fault", ["too_many", "revoke_token"])
def test_a_write_that_was_turned_away_is_sent_again(sandbox, patient_client, fault):
    sandbox.fault(fault, interaction="transaction", times=1)
    assert patient_client.transact(bundle())["entry"][0]["response"]["status"] == "1"
    assert posts(sandbox) == 2
    assert patients(sandbox) == 121


def test_a_quota_that_stays_spent(sandbox, patient_client):
    sandbox.fault("too_many", interaction="transaction")
    with pytest.raises(RateLimited):
        patient_client.transact(bundle())


def test_a_token_that_cannot_be_fetched_leaves_nothing_unknown(sandbox, patient_client):
    sandbox.fault("server_error", interaction="token")
    with pytest.raises(ServerUnavailable) as trouble:
        patient_client.transact(bundle())
    assert not isinstance(trouble.value, OutcomeUnknown)
    assert posts(sandbox) == 0


def test_a_server_that_is_not_there_leaves_nothing_unknown(sandbox, connect):
    client = connect(sandbox, base_url="http://127.0.0.1:1/fhir/r4/X", token_url=sandbox.token_url)
    with pytest.raises(ConnectionFailed):
        client.transact(bundle())


def test_a_bundle_that_ecw_does_not_take(sandbox, patient_client):
    with pytest.raises(BadRequest, match="too-costly"):
        patient_client.transact(bundle() | {"entry": []})
    assert posts(sandbox) == 1


def test_without_the_scope(sandbox, connect):
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


def test_what_was_read_just_now_is_sent_in_time_or_not_at_all_and_once(sandbox, patient_client):
    with pytest.raises(RateLimited):
        patient_client.transact(bundle(), within=-1.0)
    assert posts(sandbox) == 0
    sandbox.fault("too_many", interaction="transaction", times=1)
    with pytest.raises(RateLimited):
        patient_client.transact(bundle(), within=60.0)
    assert (posts(sandbox), patients(sandbox)) == (1, 120)
    assert patient_client.transact(bundle(), within=60.0)["entry"][0]["response"]["status"] == "1"
