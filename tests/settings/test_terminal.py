"""A terminal reads what Airflow would: Airflow's own classes are the oracle."""

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
words = st.text(min_size=1, max_size=12)


def same(mine: terminal.TerminalConnection | None, airflows: Any) -> None:
    assert mine is not None
    assert {name: getattr(mine, name) or None for name in FIELDS} == {
        name: getattr(airflows, name) or None for name in FIELDS
    }
    assert mine.extra_dejson == airflows.extra_dejson


@given(
    st.fixed_dictionaries(
        {"conn_type": st.sampled_from(["ecw", "postgresql", "google-cloud", "sqlite"])},
        optional={
            **{name: st.none() | words for name in ("host", "schema", "login", "password")},
            "port": st.none() | st.integers(1, 65535) | st.integers(1, 65535).map(str),
            "extra": st.none() | st.dictionaries(words, words | st.integers()) | st.just('{"a": 1}'),
        },
    )
)
@settings(max_examples=examples(60))
def test_json_is_read_as_airflow_reads_it(values: dict[str, Any]) -> None:
    written = json.dumps(values)
    same(terminal.parsed("x", written), Connection.from_json(written, conn_id="x"))


@given(
    st.sampled_from(["ecw", "postgresql", "google-cloud", "sqlite"]),
    st.none() | st.tuples(words, words),
    st.sampled_from(["", "example.com", "Example.COM", "127.0.0.1", "[::1]", "a_b", "%2Frun%2Fpg"]),
    st.none() | st.integers(1, 65535),
    st.text(max_size=8),
    st.dictionaries(words, words, max_size=2),
)
@settings(max_examples=examples(100))
def test_a_uri_is_read_as_airflow_reads_it(
    kind: str, user: tuple[str, str] | None, host: str, port: int | None, path: str, query: dict[str, str]
) -> None:
    login = "".join((quote(user[0], safe=""), ":", quote(user[1], safe=""), "@")) if user else ""
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    uri = f"{kind}://{login}{host}{f':{port}' if port else ''}/{quote(path)}{'?' + asked if asked else ''}"
    try:
        mine = terminal.parsed("x", uri)
    except terminal.AskAirflow:
        assert "%2F" in host  # an ordinary URI needs no Airflow
        return
    same(mine, Connection.from_uri(uri, conn_id="x"))


@pytest.mark.parametrize("written", ["{", '{"port": "many"}', '{"colour": 1}', "no uri", "http://https://two"])
def test_what_is_out_of_the_ordinary_is_airflows_to_judge(written: str) -> None:
    with pytest.raises(terminal.AskAirflow):
        terminal.parsed("x", written)


@pytest.fixture
def metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Airflow's own tables in a database of the test's, with a key of its own."""
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
        same(terminal.connection(conn_id), oracle.get_connection(conn_id, session=metadata))
    assert terminal.variable("ecw_staging") == oracle.get_variable("ecw_staging", session=metadata) == "folder/ß"


def test_the_environment_comes_before_the_database(metadata: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata.add(Stored(conn_id="crm", conn_type="sqlite", host="stored"))
    metadata.add(Variable(key="ecw_staging", val="stored"))
    metadata.commit()
    monkeypatch.setenv("AIRFLOW_CONN_CRM", '{"conn_type": "sqlite", "host": "given"}')
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", "given")
    found = terminal.connection("crm")
    assert found is not None
    assert found.host == terminal.variable("ecw_staging") == "given"


def test_a_value_that_cannot_be_decrypted_is_airflows_to_explain(
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
def test_where_secrets_come_from_elsewhere_airflow_is_asked(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(terminal.AskAirflow):
        terminal.connection("crm")


def test_airflow_cfg_is_read_where_the_environment_says_nothing(
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
    """It takes seconds; all commands are run in one new process."""
    assert CRM_ONLY.keys() == COMMANDS.keys()
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    ecw = {"conn_type": "ecw", "host": "http://127.0.0.1:1/fhir/r4/P1", "login": "me", "extra": {"client_secret": "x"}}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", json.dumps(ecw))
    program = f"""
import sys
from click.testing import CliRunner
from ecw.cli import group
for words in {list(CRM_ONLY.values())!r}:
    result = CliRunner().invoke(group, words.split(), catch_exceptions=False)
    assert result.exit_code == 0, (words, result.output)
    assert not [name for name in sys.modules if name.partition(".")[0] == "airflow"], words
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "airflow.cfg").exists()
