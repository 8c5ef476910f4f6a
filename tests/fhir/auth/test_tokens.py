"""Access tokens: the assertion, scopes, renewal, the token endpoint and its errors."""

from concurrent.futures import ThreadPoolExecutor

import jwt
import orjson
import pytest
import time_machine

from ecw.errors import (
    AccessDenied,
    AuthenticationError,
    ConfigurationError,
    RateLimited,
    ServerUnavailable,
    TokenRevoked,
)
from ecw.fhir.auth.tokens import Purpose, Tokens, assertion
from ecw.fhir.connection import EcwSettings


def tokens_served(sandbox) -> int:
    return sandbox.served("token", status=200)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_assertion_has_the_header_and_claims_that_ecw_requires(keys):
    settings = EcwSettings("https://h/fhir/r4/X", keys.client_id, keys.private_key_pem, keys.key_id)
    with time_machine.travel(1_800_000_000, tick=False):
        one, other = (assertion(settings, "https://h/token") for _ in "ab")
        claims = jwt.decode(one, jwt.PyJWK(keys.jwks["keys"][0]), ["RS384"], audience="https://h/token")
    assert jwt.get_unverified_header(one) == {"alg": "RS384", "typ": "JWT", "kid": keys.key_id}
    assert claims["iss"] == claims["sub"] == keys.client_id
    assert 0 < claims["exp"] - 1_800_000_000 <= 300
    assert claims["jti"] != jwt.decode(other, options={"verify_signature": False})["jti"]


def test_a_token_is_reused_until_shortly_before_it_expires(sandbox, connect):
    client, clock = connect(sandbox), Clock()
    tokens = Tokens(client.settings, client.transport, clock)
    first = tokens.token(Purpose.READ)
    clock.now += 269
    assert tokens.token(Purpose.READ) is first
    clock.now += 2
    assert tokens.token(Purpose.READ).value != first.value
    assert tokens_served(sandbox) == 2
    assert sandbox.served("smart-configuration") == 1


def test_a_token_of_seconds_is_reused_too(sandbox, connect):
    sandbox.set(token_seconds=20)
    client, clock = connect(sandbox), Clock()
    tokens = Tokens(client.settings, client.transport, clock)
    first = tokens.token(Purpose.READ)
    clock.now += 9
    assert tokens.token(Purpose.READ) is first
    clock.now += 2
    assert tokens.token(Purpose.READ) is not first


def test_each_purpose_has_its_own_scopes(sandbox, connect):
    tokens = connect(sandbox).tokens
    granted = {purpose: tokens.token(purpose).scopes for purpose in Purpose}
    assert "system/Coverage.r" in granted[Purpose.READ]
    assert granted[Purpose.WRITE] == ("system/Patient.c", "system/Patient.u")
    assert "system/Group.read" in granted[Purpose.BULK]
    assert not any("Group" in scope for scope in granted[Purpose.READ] + granted[Purpose.WRITE])


def test_a_token_that_is_refused_is_renewed_once(sandbox, connect):
    client = connect(sandbox)
    client.tokens.token(Purpose.READ)
    sandbox.fault("revoke_token", interaction="search", times=1)
    assert list(client.search("Location"))
    assert tokens_served(sandbox) == 2
    assert sandbox.served("search", "Location", 401) == 1


def test_two_refused_tokens_before_any_success_are_access_denied(sandbox, connect):
    client = connect(sandbox)
    sandbox.fault("revoke_token", interaction="search")
    with pytest.raises(AccessDenied, match="HTTP 401"):
        list(client.search("Location"))
    assert tokens_served(sandbox) == 2


def test_a_server_error_does_not_count_as_a_success_of_the_token(sandbox, connect):
    client = connect(sandbox)
    sandbox.fault("server_error", interaction="search", times=1)
    sandbox.fault("revoke_token", interaction="search")
    with pytest.raises(ServerUnavailable):
        list(client.search("Location"))
    with pytest.raises(AccessDenied, match="HTTP 401"):
        list(client.search("Location"))


def test_two_refused_tokens_after_a_success_are_a_retryable_error(sandbox, connect):
    client = connect(sandbox)
    assert next(client.search("Location"))
    sandbox.fault("revoke_token", interaction="search", times=3)
    with pytest.raises(TokenRevoked, match="two tokens in a row were refused"):
        list(client.search("Location"))
    assert list(client.search("Location"))


def test_sixteen_threads_renew_once(sandbox, connect):
    client = connect(sandbox)
    old = client.tokens.token(Purpose.READ)
    sandbox.set(latency=0.05)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: client.tokens.forget(Purpose.READ, f"Bearer {old.value}"), range(16)))
        found = set(pool.map(lambda _: client.tokens.token(Purpose.READ).value, range(16)))
        pages = list(pool.map(lambda _: len(next(client.search("Location"))), range(16)))
    assert len(found) == 1
    assert pages == [10] * 16
    assert tokens_served(sandbox) == 2


def test_a_refusal_of_an_old_token_does_not_drop_the_new_one(sandbox, connect):
    tokens = connect(sandbox).tokens
    old = tokens.token(Purpose.READ)
    tokens.forget(Purpose.READ, f"Bearer {old.value}")
    new = tokens.token(Purpose.READ)
    tokens.forget(Purpose.READ, f"Bearer {old.value}")
    assert tokens.token(Purpose.READ) is new


def test_a_client_secret_needs_http_basic(sandbox_factory, connect, keys):
    sandbox = sandbox_factory(patients=1, secret="with-secret=s3cret")
    secret = {"client_id": "with-secret", "private_key": None, "key_id": None}
    assert connect(sandbox, client_secret="s3cret", **secret).tokens.token(Purpose.READ).scopes
    with pytest.raises(AuthenticationError, match="client secret is not the one of this client"):
        connect(sandbox, client_secret="wrong", **secret).tokens.token(Purpose.READ)


def test_the_token_endpoint_is_also_read_from_the_capability_statement(wire, respond, sandbox, connect):
    statement = connect(sandbox).capability()

    def answer(request):
        respond(request, *((200, orjson.dumps(statement)) if request.path.endswith("/metadata") else (404,)))

    wire.answer = answer
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X")
    assert client.tokens.token_url() == sandbox.token_url
    assert wire.requests == ["GET /fhir/r4/X/.well-known/smart-configuration", "GET /fhir/r4/X/metadata"]


def test_a_configured_token_url_needs_no_discovery(sandbox, connect):
    sandbox.set(audience="https://other.example/aud")
    client = connect(sandbox, token_url=sandbox.token_url, audience="https://other.example/aud")
    client.tokens.token(Purpose.READ)
    assert sandbox.served("smart-configuration") == 0


@pytest.mark.parametrize("token_url", ["http://evil.example/token", "not a url", 7])
def test_a_token_endpoint_that_is_not_safe_is_not_used(wire, respond, sandbox, connect, token_url):
    wire.answer = lambda request: respond(request, 200, orjson.dumps({"token_endpoint": token_url}))
    with pytest.raises(ConfigurationError, match="token endpoint"):
        connect(sandbox, base_url=f"{wire.url}/fhir/r4/X").tokens.token(Purpose.READ)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("too_many", RateLimited),
        ("server_error", ServerUnavailable),
        ("drop", ServerUnavailable),
        ("truncate", ServerUnavailable),
    ],
)
def test_a_failing_token_endpoint_is_not_an_authentication_error(sandbox, connect, fault, error):
    sandbox.fault(fault, interaction="token")
    with pytest.raises(error):
        connect(sandbox).tokens.token(Purpose.READ)


def test_a_token_url_that_is_not_a_token_endpoint_is_a_configuration_error(sandbox, connect):
    with pytest.raises(ConfigurationError, match="not a token endpoint"):
        connect(sandbox, token_url=sandbox.token_url + "/nowhere").tokens.token(Purpose.READ)


@pytest.mark.parametrize(
    "body",
    [
        b'{"token_type": "Bearer"}',
        b'{"access_token": null, "expires_in": 300}',
        b'{"access_token": "", "expires_in": 300}',
        b'{"access_token": "a\\nb", "expires_in": 300}',
        b'{"access_token": "t", "expires_in": "nan"}',
        b'{"access_token": "t", "expires_in": "inf"}',
        b'{"access_token": "t", "expires_in": -300}',
        b'{"access_token": "t", "expires_in": []}',
    ],
)
def test_an_answer_without_a_usable_token_is_server_unavailable(wire, respond, sandbox, connect, body):
    wire.answer = lambda request: respond(request, 200, body)
    with pytest.raises(ServerUnavailable, match="without a usable token"):
        connect(sandbox, token_url=f"{wire.url}/token").tokens.token(Purpose.READ)


def test_the_repr_of_a_token_hides_its_value(sandbox, connect):
    token = connect(sandbox).tokens.token(Purpose.READ)
    assert token.value not in repr(token)


@pytest.mark.parametrize("code", ["invalid_grant", "jane_lopez"])
def test_the_error_about_a_refused_token_quotes_only_oauths_codes(wire, respond, sandbox, connect, code):
    body = {"error": code, "error_description": "Jane Lopez", "error_uri": "https://jane_lopez.example"}
    wire.answer = lambda request: respond(request, 400, orjson.dumps(body))
    with pytest.raises(AuthenticationError) as error:
        connect(sandbox, token_url=f"{wire.url}/token").tokens.token(Purpose.READ)
    assert ("invalid_grant" if code == "invalid_grant" else "an unknown OAuth error") in str(error.value)
    assert "lopez" not in str(error.value).lower()
