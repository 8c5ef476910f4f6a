"""Reading the settings of an eCW connection, and the errors about its fields."""

import json

import pytest
from airflow.sdk import Connection

from ecw.errors import ConfigurationError
from ecw.fhir.connection import READ_SCOPES, EcwSettings

BASE = "https://fhir4.eclinicalworks.com/fhir/r4/FFBJCD"


def conn(host: str | None = BASE, login: str | None = "client", password: str | None = None, **extra) -> Connection:
    fields = {"client_secret": "s3cret", **extra}
    return Connection(
        conn_id="x", conn_type="ecw", host=host, login=login, password=password,
        extra=json.dumps({name: value for name, value in fields.items() if value != "absent"}),
    )  # fmt: skip


def test_the_fields_of_a_connection_become_settings(keys):
    settings = EcwSettings.from_connection(
        conn(host=f" {BASE}/ ", client_secret=None, private_key=keys.private_key_pem, key_id="k1", audience="aud")
    )
    assert settings.base_url == BASE
    assert settings.practice == "FFBJCD"
    assert settings.key_id == "k1"
    assert settings.audience == "aud"
    assert settings.read_scopes == READ_SCOPES
    assert settings.bulk_scopes == ("system/Group.read", *READ_SCOPES)
    assert settings.calls_per_minute == 250


def test_the_private_key_can_be_the_password(keys):
    settings = EcwSettings.from_connection(conn(password=keys.private_key_pem, client_secret="absent", key_id="k1"))
    assert settings.private_key == keys.private_key_pem


def test_configured_scopes_replace_the_default_ones_and_are_used_for_exports_too():
    settings = EcwSettings.from_connection(conn(scopes=" system/Location.read  system/Patient.rs "))
    assert settings.read_scopes == ("system/Location.read", "system/Patient.rs")
    assert settings.bulk_scopes == ("system/Group.read", "system/Location.read", "system/Patient.rs")


def test_the_repr_of_the_settings_hides_secrets(keys):
    for extra in ({}, {"client_secret": None, "private_key": keys.private_key_pem, "key_id": "k1"}):
        shown = repr(EcwSettings.from_connection(conn(**extra)))
        assert "s3cret" not in shown
        assert "PRIVATE" not in shown


@pytest.mark.parametrize("host", ["http://127.0.0.1:8080/fhir/r4/X", "http://localhost/fhir/r4/X", "http://[::1]/a/X"])
def test_plain_http_is_allowed_for_this_machine(host):
    assert EcwSettings.from_connection(conn(host=host)).base_url == host


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"host": None}, "host (Base URL)", "not a URL"),
        ({"host": "fhir4.eclinicalworks.com"}, "host (Base URL)", "not a URL"),
        ({"host": "https://host:port/fhir/r4/X"}, "host (Base URL)", "not a URL"),
        ({"host": "https://ho st/fhir/r4/X"}, "host (Base URL)", "not a URL"),
        ({"host": "ftp://host/fhir/r4/X"}, "host (Base URL)", "not a URL"),
        ({"host": "https://fhir4.eclinicalworks.com"}, "host (Base URL)", "no practice code"),
        ({"host": "https://fhir4.eclinicalworks.com/fhir/r4/"}, "host (Base URL)", "no practice code"),
        ({"host": BASE + "/metadata"}, "host (Base URL)", "ends in metadata"),
        ({"host": BASE + "?a=b"}, "host (Base URL)", "a query"),
        ({"host": "https://me:pw@host/fhir/r4/X"}, "host (Base URL)", "a user"),
        ({"host": "http://fhir4.eclinicalworks.com/fhir/r4/X"}, "host (Base URL)", "in the clear"),
        ({"host": "http://127.0.0.1.example.org/fhir/r4/X"}, "host (Base URL)", "in the clear"),
        ({"login": None}, "login (Client id)", "is empty"),
        ({"client_secret": "absent"}, "private_key", "so is client_secret"),
        ({"private_key": "x", "key_id": "k"}, "client_secret", "so is private_key"),
        ({"client_secret": None, "private_key": "x"}, "key_id", "is empty"),
        ({"jwks_url": "jwks.json"}, "jwks_url", "not a URL"),
        ({"jwks_url": "http://example.org/jwks.json"}, "jwks_url", "https://"),
        ({"token_url": "http://example.org/token"}, "token_url", "https://"),
        ({"key_id": 7}, "key_id", "not text but int"),
        ({"scopes": "system/Group.read"}, "scopes", "only exports"),
        ({"write_scopes": "system/Group.c"}, "write_scopes", "only exports"),
        ({"calls_per_minute": 0.5}, "calls_per_minute", "whole number"),
        ({"timeout": [5, 60]}, "timeout", "number of seconds"),
        ({"timeout": 0}, "timeout", "number of seconds"),
        ({"file_urls": "files.example.org"}, "file_urls", "other than URLs"),
        ({"file_urls": "https://files.example.org http://files.example.org"}, "file_urls", "other than URLs"),
        ({"file_urls": "https://me:pw@files.example.org"}, "file_urls", "other than URLs"),
        ({"calls_per_minute": "many"}, "calls_per_minute", "whole number"),
    ],
)
def test_the_error_about_a_wrong_field_names_it_and_the_next_step(fields, field, message):
    with pytest.raises(ConfigurationError) as refused:
        EcwSettings.from_connection(conn(**fields))
    assert f"field {field} " in refused.value.what
    assert message in refused.value.what
    assert refused.value.next_step.endswith(".")


def test_a_port_outside_the_url_is_refused():
    split = Connection(conn_id="x", conn_type="ecw", host=BASE, port=8443, login="client")
    with pytest.raises(ConfigurationError, match="whole https://<host>/fhir/r4/<practice code> into the host field"):
        EcwSettings.from_connection(split)


@pytest.mark.parametrize(
    ("host", "practice"),
    [
        ("https://fhir4.eclinicalworks.com/fhir/r4/FFBJCD", "FFBJCD"),
        ("https://hapi.example.org/fhir", "hapi.example.org"),
        ("https://api.example.org/fhir/R4", "api.example.org"),
        ("https://api.example.org/fhir/R4/", "api.example.org"),
        ("https://hapi.example.org/baseR4", "hapi.example.org"),
        ("https://fhir.example.org", "fhir.example.org"),
        ("https://example.org:8443/north/fhir", "example.org-8443-north"),
        ("https://example.org/south/fhir/r4", "example.org-south"),
        ("http://127.0.0.1:8080/fhir", "127.0.0.1-8080"),
    ],
)
def test_a_base_url_without_a_practice_code_gets_a_code_from_its_host(host, practice):
    settings = EcwSettings.from_connection(conn(host=host))

    assert settings.practice == practice
    assert settings.base_url == host.rstrip("/")


def test_long_base_urls_get_different_codes_of_64_characters():
    codes = {
        EcwSettings.from_connection(conn(host=f"https://{'a' * 60}.{top}/x/fhir")).practice for top in ("com", "org")
    }

    assert len(codes) == 2
    assert {len(code) for code in codes} == {64}


def test_the_urls_of_export_files_are_read():
    urls = "https://files.example.org/a, https://other.example.org"
    assert EcwSettings.from_connection(conn(file_urls=urls)).file_urls == (
        "https://files.example.org/a",
        "https://other.example.org",
    )
