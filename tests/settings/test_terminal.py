"""Commands in a terminal read the same connections and Variables as Airflow: Airflow's classes are the oracle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.models import crypto
from airflow.models.connection import Connection as Stored
from airflow.models.variable import Variable
from airflow.sdk import Connection
from airflow.secrets.metastore import MetastoreBackend
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from ecw.cli import COMMANDS
from ecw.settings import terminal
from tests.fixtures.crm import on_sqlite
from tests.fixtures.examples import examples

FIELDS = ("conn_type", "host", "schema", "login", "password", "port", "extra")
texts = st.text(min_size=1, max_size=12)


def assert_same(own: terminal.TerminalConnection | None, airflows: Any) -> None:
    assert own is not None
    assert {name: getattr(own, name) or None for name in FIELDS} == {
        name: getattr(airflows, name) or None for name in FIELDS
    }
    assert own.extra_dejson == airflows.extra_dejson


@given(
    st.fixed_dictionaries(
        {"conn_type": st.sampled_from(["ecw", "postgresql", "google-cloud", "sqlite"])},
        optional={
            **{name: st.none() | texts for name in ("host", "schema", "login", "password")},
            "port": st.none() | st.integers(1, 65535) | st.integers(1, 65535).map(str),
            "extra": st.none() | st.dictionaries(texts, texts | st.integers()) | st.just('{"a": 1}'),
        },
    )
)
@settings(max_examples=examples(60))
def test_a_json_connection_is_read_the_same_as_by_airflow(values: dict[str, Any]) -> None:
    document = json.dumps(values)
    assert_same(terminal.parsed("x", document), Connection.from_json(document, conn_id="x"))


@given(
    st.sampled_from(["ecw", "postgresql", "google-cloud", "sqlite"]),
    st.none() | st.tuples(texts, texts),
    st.sampled_from(["", "example.com", "Example.COM", "127.0.0.1", "[::1]", "a_b", "%2Frun%2Fpg"]),
    st.none() | st.integers(1, 65535),
    st.text(max_size=8),
    st.dictionaries(texts, texts, max_size=2),
)
@settings(max_examples=examples(100))
def test_a_uri_connection_is_read_the_same_as_by_airflow(
    kind: str, user: tuple[str, str] | None, host: str, port: int | None, path: str, query: dict[str, str]
) -> None:
    login = "".join((quote(user[0], safe=""), ":", quote(user[1], safe=""), "@")) if user else ""
    query_text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    uri = f"{kind}://{login}{host}{f':{port}' if port else ''}/{quote(path)}{'?' + query_text if query_text else ''}"
    try:
        own = terminal.parsed("x", uri)
    except terminal.AskAirflow:
        assert "%2F" in host  # an ordinary URI needs no Airflow
        return
    assert_same(own, Connection.from_uri(uri, conn_id="x"))


@pytest.mark.parametrize("document", ["{", '{"port": "many"}', '{"colour": 1}', "no uri", "http://https://two"])
def test_an_unusual_value_is_left_to_airflow(document: str) -> None:
    with pytest.raises(terminal.AskAirflow):
        terminal.parsed("x", document)


@pytest.fixture
def metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Create Airflow's tables in a new database with a new Fernet key, and return a session."""
    url = f"sqlite:///{tmp_path / 'airflow.db'}"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    crypto.get_fernet.cache_clear()
    engine = create_engine(url)
    for model in (Stored, Variable):
        model.__table__.create(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()
    crypto.get_fernet.cache_clear()


def test_airflows_own_database_is_read_and_decrypted(metadata: Session) -> None:
    assert terminal.connection("crm") is None
    assert terminal.variable("ecw_staging") is None
    metadata.add(Stored(conn_id="crm", conn_type="postgres", host="h", login="l", password="ä b", extra='{"a": 1}'))
    metadata.add(Stored(conn_id="bare", conn_type="sqlite", host="folder/crm.db", port=1))
    metadata.add(Variable(key="ecw_staging", val="folder/ß"))
    metadata.commit()
    oracle = MetastoreBackend()
    for conn_id in ("crm", "bare"):
        assert_same(terminal.connection(conn_id), oracle.get_connection(conn_id, session=metadata))
    assert terminal.variable("ecw_staging") == oracle.get_variable("ecw_staging", session=metadata) == "folder/ß"


def test_the_environment_comes_before_the_database(metadata: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata.add(Stored(conn_id="crm", conn_type="sqlite", host="stored"))
    metadata.add(Variable(key="ecw_staging", val="stored"))
    metadata.commit()
    monkeypatch.setenv("AIRFLOW_CONN_CRM", '{"conn_type": "sqlite", "host": "given"}')
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", "given")
    crm = terminal.connection("crm")
    assert crm is not None
    assert crm.host == terminal.variable("ecw_staging") == "given"


def test_a_value_that_cannot_be_decrypted_is_left_to_airflow(
    metadata: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.add(Variable(key="ecw_staging", val="stored"))
    metadata.commit()
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    with pytest.raises(terminal.AskAirflow):
        terminal.variable("ecw_staging")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRFLOW__SECRETS__BACKEND", "a.Backend"),
        ("AIRFLOW__WORKERS__SECRETS_BACKEND", "a.Backend"),
        ("AIRFLOW__CORE__MULTI_TEAM", "True"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "cat /secret"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite:///$HOME/airflow.db"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "nonsense"),
    ],
)
def test_with_a_secrets_backend_or_an_unusual_database_airflow_is_used(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(terminal.AskAirflow):
        terminal.connection("crm")


def test_airflow_cfg_is_read_if_the_environment_does_not_set_the_option(
    metadata: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.add(Variable(key="ecw_staging", val="stored"))
    metadata.commit()
    key = os.environ["AIRFLOW__CORE__FERNET_KEY"]
    for name in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        monkeypatch.delenv(name)
    cfg = tmp_path / "airflow.cfg"
    cfg.write_text(f"[core]\nfernet_key = {key}\n[database]\nsql_alchemy_conn = sqlite:///{tmp_path / 'airflow.db'}\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", str(cfg))
    assert terminal.variable("ecw_staging") == "stored"
    with_backend = tmp_path / "other.cfg"
    with_backend.write_text(cfg.read_text() + "[secrets]\nbackend = a.Backend\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", str(with_backend))
    with pytest.raises(terminal.AskAirflow):
        terminal.variable("ecw_staging")


CRM_ONLY = {
    "status": "status --json",
    "quality": "quality",
    "conflicts": "conflicts list",
    "find": "find 1",
    "matches": "matches list",
    "practice": "practice list",
    "mapping": "mapping unmapped patient --help",
    "migrate": "migrate",
    "init": "init --help",
    "keys": "keys show",
    "replay": "replay",
    "forget": "forget --help",
    "settings": "settings --help",
    "pull": "pull --help",
    "push": "push --help",
    "check": "check --help",
    "check-config": "check-config",
}


@on_sqlite
def test_a_command_that_needs_only_the_crm_does_not_import_airflow(
    crm_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing Airflow takes seconds; all commands are run in one new process."""
    assert CRM_ONLY.keys() == COMMANDS.keys()
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    ecw = {"conn_type": "ecw", "host": "http://127.0.0.1:1/fhir/r4/P1", "login": "me", "extra": {"client_secret": "x"}}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", json.dumps(ecw))
    program = f"""
import sys
from click.testing import CliRunner
from ecw.cli import group
for arguments in {list(CRM_ONLY.values())!r}:
    result = CliRunner().invoke(group, arguments.split(), catch_exceptions=False)
    assert result.exit_code == 0, (arguments, result.output)
    assert not [name for name in sys.modules if name.partition(".")[0] == "airflow"], arguments
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "airflow.cfg").exists()
