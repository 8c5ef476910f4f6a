"""The sandbox's token endpoint behaves like eCW's."""

from __future__ import annotations

import time

import pytest
import requests

from tests.fixtures.keys import jwk_of, new_key, pem_of
from tests.sandbox.calling import BULK, READ


def error(answer: requests.Response) -> tuple[int, str, str]:
    body = answer.json()
    assert set(body) == {"error", "error_description"}
    return answer.status_code, body["error"], body["error_description"]


def test_a_correct_assertion_gets_a_bearer_token_of_300_seconds_and_no_refresh_token(caller):
    answer = caller.ask_token(scope=READ)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, READ)
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_jwks_is_fetched_for_every_token(caller):
    before = len(caller.keys.fetched)
    caller.token()
    caller.token()
    assert len(caller.keys.fetched) == before + 2


def now() -> int:
    return int(time.time())


WRONG_CLAIMS = {
    "iss is unknown": ({"iss": "x", "sub": "x"}, 401, "invalid_client", "Unknown client id"),
    "sub is not iss": ({"sub": "x"}, 400, "invalid_grant", "iss and sub"),
    "sub is missing": ({"sub": None}, 400, "invalid_grant", "iss and sub"),
    "aud is the FHIR base": ({"aud": "https://example.com/fhir"}, 400, "invalid_grant", "aud"),
    "aud is missing": ({"aud": None}, 400, "invalid_grant", "no aud"),
    "exp is over": ({"exp": 1_700_000_000}, 400, "invalid_grant", "expired"),
    "exp is missing": ({"exp": None}, 400, "invalid_grant", "no exp"),
    "jti is missing": ({"jti": None}, 400, "invalid_grant", "no jti"),
}


@pytest.mark.parametrize("case", WRONG_CLAIMS)
def test_wrong_claims_are_refused(caller, case):
    claims, status, code, text = WRONG_CLAIMS[case]
    answered = error(caller.ask_token(caller.assertion(**claims)))
    assert answered[:2] == (status, code)
    assert text in answered[2]


def test_exp_may_be_five_minutes_ahead_and_not_more(caller):
    assert caller.ask_token(caller.assertion(exp=now() + 299)).status_code == 200
    status, code, text = error(caller.ask_token(caller.assertion(exp=now() + 400)))
    assert (status, code) == (400, "invalid_grant")
    assert "5 minutes" in text


def test_an_assertion_is_accepted_once(caller):
    assertion = caller.assertion()
    assert caller.ask_token(assertion).status_code == 200
    status, code, text = error(caller.ask_token(assertion))
    assert (status, code) == (400, "invalid_grant")
    assert "jti" in text


def test_exp_is_compared_with_the_servers_clock(caller):
    caller.sandbox.set(clock_offset=600)
    assert error(caller.ask_token())[:2] == (400, "invalid_grant")
    caller.sandbox.set(clock_offset=-600)
    assert "5 minutes" in error(caller.ask_token())[2]


def test_only_rs384_is_accepted(caller):
    for algorithm in ("RS256", "PS384"):
        status, code, text = error(caller.ask_token(caller.assertion(headers={"alg": algorithm})))
        assert (status, code) == (400, "invalid_grant")
        assert "RS384" in text


def test_typ_must_be_jwt(caller):
    assert "typ" in error(caller.ask_token(caller.assertion(headers={"typ": "other"})))[2]


def test_a_kid_that_is_not_published_is_refused(caller):
    for header in ({"kid": "another"}, {"kid": ""}):
        status, code, text = error(caller.ask_token(caller.assertion(headers=header)))
        assert (status, code) == (401, "invalid_client")
        assert "kid" in text


def test_a_signature_of_an_unpublished_key_is_refused(caller):
    status, code, text = error(caller.ask_token(caller.assertion(key=caller.keys.wrong_private_key_pem)))
    assert (status, code) == (401, "invalid_client")
    assert "signature" in text


def test_a_key_that_is_replaced_in_the_jwks_is_accepted_at_once(caller):
    caller.sandbox.register(caller.keys.client_id, jwks_url=caller.keys.serve("turned.json", caller.keys.jwks))
    caller.token()
    key = new_key()
    caller.keys.serve("turned.json", {"keys": [jwk_of(key, "next")]})
    assert caller.ask_token().status_code == 401
    assert caller.ask_token(caller.assertion(key=pem_of(key), headers={"kid": "next"})).status_code == 200


@pytest.mark.parametrize("address", ["missing_jwks_url", "unreachable_jwks_url"])
def test_a_jwks_that_cannot_be_fetched_is_refused(caller, address):
    caller.sandbox.register(caller.keys.client_id, jwks_url=getattr(caller.keys, address))
    status, code, text = error(caller.ask_token())
    assert (status, code) == (401, "invalid_client")
    assert "retrieved" in text


@pytest.mark.parametrize(
    "document", [b"<html>", b"[]", b'{"keys": []}', b'{"keys": [{"kid": "test-key-1", "kty": "oct"}]}']
)
def test_a_jwks_without_the_key_is_refused(caller, document):
    caller.sandbox.register(caller.keys.client_id, jwks_url=caller.keys.serve("odd.json", document))
    assert error(caller.ask_token())[:2] == (401, "invalid_client")


def test_a_jwks_that_is_not_allow_listed_is_not_fetched(caller):
    caller.sandbox.set(allow_list="keys.example.com")
    before = len(caller.keys.fetched)
    status, code, text = error(caller.ask_token())
    assert (status, code) == (401, "invalid_client")
    assert "allow-listed" in text
    assert len(caller.keys.fetched) == before
    caller.sandbox.set(allow_list=f"keys.example.com, {caller.keys.jwks_url}")
    assert caller.ask_token().status_code == 200


WRONG_FORMS = {
    "no grant type": ({"grant_type": ""}, "unsupported_grant_type"),
    "another grant type": ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
    "no assertion type": ({"client_assertion_type": ""}, "invalid_request"),
    "no scope": ({"scope": ""}, "invalid_request"),
    "only spaces as scope": ({"scope": "  "}, "invalid_request"),
    "an unknown scope among known ones": ({"scope": f"{READ} system/Observation.read"}, "invalid_grant"),
    "an unknown write scope": ({"scope": "system/Patient.write"}, "invalid_grant"),
    "Coverage.read": ({"scope": "system/Coverage.read"}, "invalid_grant"),
    "an assertion that is not a jwt": ({"client_assertion": "not.a.jwt"}, "invalid_grant"),
}


@pytest.mark.parametrize("case", WRONG_FORMS)
def test_wrong_forms_are_refused(caller, case):
    form, code = WRONG_FORMS[case]
    assert error(caller.ask_token(**form))[:2] == (400, code)


def test_a_request_without_an_assertion_or_secret_is_an_invalid_request(caller):
    form = {"grant_type": "client_credentials", "scope": READ}
    assert error(requests.post(caller.sandbox.token_url, data=form, timeout=600))[:2] == (400, "invalid_request")


def test_parameters_in_the_query_or_as_json_are_refused(caller):
    form = {"grant_type": "client_credentials", "scope": READ}
    url = caller.sandbox.token_url
    assert error(requests.post(url, params=form, timeout=600))[:2] == (400, "invalid_request")
    assert error(requests.post(url, json=form, timeout=600))[:2] == (400, "invalid_request")


@pytest.mark.parametrize("verb", ["read", "rs", "r", "c", "u"])
def test_every_scope_of_the_reference_is_known(caller, verb):
    types = ("Patient", "Encounter", "Practitioner", "Location", "Organization", "Group")
    assert caller.ask_token(scope=" ".join(f"system/{kind}.{verb}" for kind in types)).status_code == 200
    assert caller.ask_token(scope="system/Coverage.r").status_code == 200


def test_write_scopes_can_be_switched_to_the_other_spelling(caller):
    caller.sandbox.set(write_scopes="words")
    assert caller.ask_token(scope="system/Patient.create system/Patient.update").status_code == 200
    assert error(caller.ask_token(scope="system/Patient.c"))[:2] == (400, "invalid_grant")


def test_another_audience_can_be_required(caller):
    caller.sandbox.set(audience="https://tenant.example.com/token")
    assert error(caller.ask_token())[:2] == (400, "invalid_grant")
    assert caller.ask_token(caller.assertion(aud="https://tenant.example.com/token")).status_code == 200


def test_a_client_secret_works_with_http_basic_only(caller):
    caller.sandbox.register("basic-client", secret="s3cret")
    form = {"grant_type": "client_credentials", "scope": READ}
    url = caller.sandbox.token_url
    assert requests.post(url, data=form, auth=("basic-client", "s3cret"), timeout=600).status_code == 200
    wrong = requests.post(url, data=form, auth=("basic-client", "other"), timeout=600)
    assert error(wrong)[:2] == (401, "invalid_client")
    posted = {**form, "client_id": "basic-client", "client_secret": "s3cret"}
    assert error(requests.post(url, data=posted, timeout=600))[:2] == (401, "invalid_client")


def test_a_token_expires(caller):
    caller.sandbox.set(token_seconds=60)
    token = caller.token()
    assert caller.get("Location", token).status_code == 200
    caller.sandbox.set(clock_offset=61)
    answer = caller.get("Location", token)
    assert answer.status_code == 401
    assert answer.json()["issue"][0]["code"] == "login"


def test_calls_without_a_token_or_with_an_unknown_one_are_refused(caller):
    assert requests.get(f"{caller.sandbox.base_url}/Location", timeout=600).status_code == 401
    assert caller.get("Location", "made-up").status_code == 401


def test_a_token_reads_only_the_resources_of_its_scopes(caller):
    token = caller.token("system/Location.read")
    assert caller.get("Location", token).status_code == 200
    answer = caller.get("Practitioner", token)
    assert answer.status_code == 403
    assert answer.json()["issue"][0]["code"] == "forbidden"


def test_a_bulk_token_cannot_search_patients_and_a_read_token_cannot_list_groups(caller):
    assert caller.get("Patient?name=a", caller.token(BULK)).status_code == 403
    assert caller.get("Group", caller.token(BULK)).status_code == 200
    assert caller.get("Group", caller.token(READ)).status_code == 403
