"""The hook: a client from an Airflow connection, and Airflow's Test Connection."""

import json
import logging

import pytest
from airflow.sdk import Connection

from ecw.errors import AccessDenied, ConfigurationError
from ecw.hooks.ecw import EcwHook


@pytest.fixture
def set_connection(monkeypatch, sandbox, keys):
    """Return a function that sets the connection `ecw_test` to the sandbox; keywords replace fields."""

    def set_fields(extra=(), **fields) -> None:
        default_extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id, "jwks_url": keys.jwks_url}
        connection = {
            "conn_type": "ecw",
            "host": sandbox.base_url,
            "login": keys.client_id,
            "extra": default_extra | dict(extra),
        }
        monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(connection | fields))

    return set_fields


def test_the_hook_makes_a_client_from_the_connection(set_connection, sandbox):
    set_connection()
    client = EcwHook("ecw_test").client()
    assert client.practice == sandbox.practice
    assert sum(map(len, client.search("Location"))) == 4


def test_the_session_has_the_connections_options_and_no_secret(set_connection, keys):
    set_connection({"proxies": {"ftp": "http://127.0.0.1:1"}, "verify": "/ca.pem", "timeout": 7, "client_secret": None})
    client = EcwHook("ecw_test").client()
    session = client.transport.session
    assert session.proxies == {"ftp": "http://127.0.0.1:1"}
    assert session.verify == "/ca.pem"
    assert client.transport.timeout == 7
    assert session.auth is None
    assert session.get_adapter("http://x").poolmanager.connection_pool_kw["maxsize"] >= 16
    assert set(session.headers) <= {"User-Agent", "Accept-Encoding", "Accept", "Connection"}


def test_the_error_about_a_wrong_field_names_it(set_connection):
    set_connection(host="https://fhir4.eclinicalworks.com")
    with pytest.raises(ConfigurationError, match="practice code"):
        EcwHook("ecw_test").client()
    assert EcwHook("ecw_test").test_connection() == (
        False,
        "The connection's field host (Base URL) has no practice code. "
        "Next (data engineer): put https://<host>/fhir/r4/<practice code> into it.",
    )


def test_airflow_tests_the_connection_through_the_provider(set_connection, sandbox, keys):
    """Test the path of the button Test: from the connection type to the hook to a message."""
    extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id}
    fields = {"conn_id": "ecw_test", "conn_type": "ecw", "host": sandbox.base_url, "login": keys.client_id}
    ok, text = Connection(**fields, extra=json.dumps(extra)).test_connection()
    assert ok, text
    assert "3 practitioners on the first page" in text
    ok, text = Connection(**fields, extra=json.dumps(extra | {"key_id": "other"})).test_connection()
    assert not ok
    assert "key id 'other' is not in the registered JWKS" in text


def test_a_connection_given_as_a_uri_keeps_every_field(monkeypatch, sandbox, keys):
    """Airflow's form hands an unsaved connection to Test Connection as a URI in the environment."""
    extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id, "token_url": None}
    fields = {"conn_id": "x", "conn_type": "ecw", "host": sandbox.base_url, "login": keys.client_id}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", Connection(**fields, extra=json.dumps(extra)).get_uri())
    assert EcwHook("ecw_test").test_connection()[0]


def test_the_body_of_a_failed_call_is_never_logged(set_connection, caplog, capfd):
    """HttpHook's own `run` would log the answer of a call that fails."""
    set_connection()
    caplog.set_level(logging.DEBUG)
    hook = EcwHook("ecw_test")
    hook.method = "GET"
    hook.log.error("a line of the hook itself")
    with pytest.raises(AccessDenied, match="HTTP 401"):
        hook.run("/Patient", {"family": "Kowalczyk"})
    logged = caplog.text + "".join(capfd.readouterr())
    assert "a line of the hook itself" in logged
    assert "Kowalczyk" not in logged
    assert "OperationOutcome" not in logged


def test_test_connection_gives_the_same_message_for_every_unreachable_host(set_connection, sandbox, caplog):
    """Otherwise the form could be used to scan the network; the log has the reason."""
    port = sandbox.base_url.split("/")[2]
    messages = set()
    for host in (f"http://{port}/fhir/r4/x", "http://127.0.0.1:1/fhir/r4/x", "https://no-such-host.invalid/fhir/r4/x"):
        set_connection(host=host)
        ok, text = EcwHook("ecw_test").test_connection()
        assert not ok
        messages.add(text)
    assert len(messages) == 1
    assert "ecw check" in messages.pop()
    assert "nothing answers at this address" in caplog.text


@pytest.mark.parametrize("name", ["verify", "verify_ssl"])
@pytest.mark.parametrize("off", [False, 0, "false", "False", "no", ""])
def test_the_check_of_ecws_certificate_cannot_be_switched_off(set_connection, keys, name, off):
    extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id, name: off}
    set_connection(host="https://fhir4.eclinicalworks.com/fhir/r4/X", extra=extra)
    with pytest.raises(ConfigurationError, match=f"field {name} switches the check"):
        EcwHook("ecw_test").client()
    set_connection(host="http://127.0.0.1:8765/fhir/r4/X", extra=extra)
    EcwHook("ecw_test").client()
