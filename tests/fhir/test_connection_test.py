"""Each cause that Test Connection can name, produced by the sandbox."""

import pytest

from ecw.fhir.connection_test import in_words, steps


def failed(client, step: str) -> str:
    ok, text = in_words(steps(client))
    assert not ok
    assert text.startswith(f"The {step} failed. ")
    assert "Next (" in text
    assert text.endswith(".")
    assert "PRIVATE KEY" not in text
    return text


def test_a_good_connection_passes_every_step(sandbox, connect, keys):
    taken = list(steps(connect(sandbox)))
    assert [step.name for step in taken] == ["discovery", "key", "token", "read"]
    ok, text = in_words(taken)
    assert ok
    for detail in (sandbox.practice, sandbox.token_url, keys.jwks_url, "system/Coverage.r", "10 practitioners"):
        assert detail in text
    assert sandbox.counts()["total"] == 4  # with /metadata, which declares whether links may keep their _count


def test_a_wrong_client_secret_fails_at_the_token(sandbox_factory, connect):
    sandbox = sandbox_factory(patients=1, secret="with-secret=s3cret")
    secret = {"client_id": "with-secret", "private_key": None, "key_id": None}
    assert in_words(steps(connect(sandbox, client_secret="s3cret", **secret)))[0]
    text = failed(connect(sandbox, client_secret="wrong", **secret), "token")
    assert "compare login and client_secret" in text


def test_a_base_url_that_does_not_answer_fails_at_the_discovery(sandbox, connect):
    text = failed(connect(sandbox, base_url="http://127.0.0.1:1/fhir/r4/X"), "discovery")
    assert "nothing answers at this address" in text
    assert "check the address and the firewall" in text


def test_an_unknown_host_is_reported(sandbox, connect):
    text = failed(connect(sandbox, base_url="https://no-such-host.invalid/fhir/r4/X"), "discovery")
    assert "no-such-host.invalid" in text
    assert "name is not known" in text


def test_an_unknown_practice_code_is_reported(sandbox, connect):
    text = failed(connect(sandbox, base_url=sandbox.base_url + "x"), "discovery")
    assert "neither a .well-known/smart-configuration nor a /metadata" in text
    assert "practice code" in text


def test_a_web_page_at_the_base_url_is_reported_and_not_quoted(wire, respond, sandbox, connect):
    wire.answer = lambda request: respond(request, 200, b"<!DOCTYPE html><html>Welcome</html>")
    text = failed(connect(sandbox, base_url=f"{wire.url}/fhir/r4/X"), "discovery")
    assert "web page" in text
    assert "check the base URL" in text
    assert "Welcome" not in text


def test_a_server_error_is_reported_with_its_status(sandbox, connect):
    sandbox.fault("server_error", interaction="smart-configuration")
    assert "HTTP 500" in failed(connect(sandbox), "discovery")


def test_an_unknown_client_id_is_reported(sandbox, connect):
    text = failed(connect(sandbox, client_id="nobody"), "token")
    assert "refused client nobody (HTTP 401, invalid_client" in text
    assert "the client id is unknown here" in text
    assert "compare login and key_id with the app's registration" in text


def test_a_key_id_that_the_published_jwks_lacks_is_reported(sandbox, connect, keys):
    text = failed(connect(sandbox, key_id="other"), "key")
    assert f"no key with the connection's key_id 'other'; it has: {keys.key_id!r}" in text


def test_a_key_id_that_only_ecw_can_compare_is_reported_from_its_answer(sandbox, connect):
    text = failed(connect(sandbox, key_id="other", jwks_url=None), "token")
    assert "key id 'other' is not in the registered JWKS" in text


def test_a_private_key_that_is_not_the_published_one_is_reported_before_the_token(sandbox, connect, keys):
    text = failed(connect(sandbox, private_key=keys.wrong_private_key_pem), "key")
    assert "private_key is not the one published" in text
    assert sandbox.served("token") == 0


def test_a_private_key_that_only_ecw_can_compare_is_reported_from_its_answer(sandbox, connect, keys):
    text = failed(connect(sandbox, private_key=keys.wrong_private_key_pem, jwks_url=None), "token")
    assert "the private key is not the published one" in text


def test_a_jwks_that_cannot_be_reached_from_here_is_reported(sandbox, connect, keys):
    text = failed(connect(sandbox, jwks_url=keys.unreachable_jwks_url), "key")
    assert "The JWKS cannot be reached" in text
    assert "leave jwks_url empty if only eCW can reach that address" in text


def test_a_jwks_url_that_answers_404_is_reported(sandbox, connect, keys):
    assert "answered HTTP 404" in failed(connect(sandbox, jwks_url=keys.missing_jwks_url), "key")


@pytest.mark.parametrize(
    ("published", "message"),
    [
        (b"<html>", "is not a JWKS"),
        ({"keys": {}}, "is not a JWKS"),
        ({"keys": []}, "it has: none"),
        ({"keys": [{"kid": "test-key-1", "kty": "oct", "k": "AAAA"}]}, "not the one published"),
    ],
)
def test_a_published_document_without_the_connections_key_is_reported(sandbox, connect, keys, published, message):
    assert message in failed(connect(sandbox, jwks_url=keys.serve("odd.json", published)), "key")


def test_a_private_key_that_was_published_by_mistake_is_reported(sandbox, connect, keys):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from jwt.algorithms import RSAAlgorithm

    private = RSAAlgorithm.to_jwk(load_pem_private_key(keys.private_key_pem.encode(), None), as_dict=True)
    url = keys.serve("leak.json", {"keys": [private | {"kid": keys.key_id}]})
    assert "publishes the private key" in failed(connect(sandbox, jwks_url=url), "key")


def test_a_jwks_that_ecw_cannot_reach_is_reported(sandbox_factory, connect, keys):
    sandbox = sandbox_factory(patients=1, client=f"{keys.client_id}={keys.unreachable_jwks_url}")
    text = failed(connect(sandbox), "token")
    assert "eCW cannot fetch the JWKS URL" in text
    assert "open the registered JWKS URL from outside your network" in text


def test_a_jwks_that_is_not_allow_listed_is_reported(sandbox, connect):
    sandbox.set(allow_list="jwks.example.org")
    text = failed(connect(sandbox), "token")
    assert "has not allow-listed it" in text
    assert "ask eCW support whether it is allow-listed" in text


@pytest.mark.parametrize(("offset", "message"), [(400.0, "s behind the server's"), (-400.0, "s ahead of the server's")])
def test_a_wrong_clock_is_reported_with_its_direction(sandbox, connect, offset, message):
    sandbox.set(clock_offset=offset)
    text = failed(connect(sandbox), "token")
    assert message in text
    assert "set the clock of this machine (NTP)" in text


def test_a_scope_that_ecw_does_not_have_is_reported(sandbox, connect):
    text = failed(connect(sandbox, read_scopes=("system/Coverage.read",)), "token")
    assert "invalid_grant" in text
    assert "requested: system/Coverage.read" in text
    assert "letter by letter" in text


def test_a_wrong_audience_is_reported(sandbox, connect):
    assert "check the field audience" in failed(connect(sandbox, audience="https://other.example"), "token")


def test_an_app_that_is_not_switched_on_is_reported(sandbox, connect):
    sandbox.fault("access_denied", interaction="token")
    text = failed(connect(sandbox), "token")
    assert "not switched on for this practice" in text
    assert "eCW support" in text


def test_a_missing_scope_fails_at_the_read(sandbox, connect):
    text = failed(connect(sandbox, read_scopes=("system/Location.read",)), "read")
    assert "/Practitioner: the token does not allow this (HTTP 403" in text
    assert "has the scope for this resource" in text


@pytest.mark.parametrize(("quota", "step"), [(1, "token"), (2, "read")])
def test_a_used_up_quota_is_reported(sandbox, connect, quota, step):
    sandbox.set(quota=quota, minute_seconds=100_000.0)
    assert "wait for the next clock minute" in failed(connect(sandbox), step)


def test_a_token_url_that_is_not_a_token_endpoint_is_reported(sandbox, connect):
    text = failed(connect(sandbox, token_url=f"{sandbox.base_url}/metadata"), "token")
    assert "it is not a token endpoint" in text
    assert "check the field token_url" in text
