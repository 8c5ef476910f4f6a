"""A practice's own time zone and constants of the mappings, from its connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecw.errors import ConfigurationError
from ecw.practice.mappings import mappings_of
from ecw.resources import RESOURCES


def connect(monkeypatch: pytest.MonkeyPatch, mapping: Any) -> None:
    extra = {"client_secret": "x", "mapping": mapping}
    document = {"conn_type": "ecw", "host": "http://127.0.0.1:1/fhir/r4/P1", "login": "me", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(document))


def test_the_connection_replaces_time_zone_and_constants_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, {"time_zone": "America/Chicago", "identifier_system": "urn:oid:1.2"})
    [patient] = mappings_of("ecw_test", ["patient"])
    assert patient.time_zone == "America/Chicago"
    assert patient.constants["identifier_system"] == "urn:oid:1.2"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"identifier_sistem": "x"}, "did you mean 'identifier_system'"),
        ({"timezone": "America/Chicago"}, "did you mean 'time_zone'"),
        ({"time_zone": "America/Chikago"}, "time zone"),
        ({"constant": {"identifier_system": "x"}}, "JSON object of texts"),
    ],
)
def test_a_key_or_value_that_the_files_do_not_know_is_refused(
    monkeypatch: pytest.MonkeyPatch, mapping: Any, message: str
) -> None:
    connect(monkeypatch, mapping)
    with pytest.raises(ConfigurationError, match=message):
        list(mappings_of("ecw_test", RESOURCES))
