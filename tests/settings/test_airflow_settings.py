"""airflow_settings.yaml is read with clear errors, and can be applied to a real Airflow database repeatedly."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ecw.errors import ConfigurationError
from ecw.settings.airflow_settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def settings_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


DEMO = ROOT / "include" / "demo" / "airflow_settings.yaml"


def test_the_projects_file_has_only_the_pool() -> None:
    settings = read_settings(ROOT / "airflow_settings.yaml")
    assert [p["pool_name"] for p in settings.pools] == ["ecw_api"]
    assert (settings.connections, settings.variables) == ((), ())


def test_the_commented_examples_of_the_projects_file_are_valid_entries(tmp_path: Path) -> None:
    lines = (ROOT / "airflow_settings.yaml").read_text().splitlines()
    text = "\n".join(re.sub(r"^( +)# ", r"\1", line) for line in lines)
    settings = read_settings(settings_file(tmp_path, text))
    assert [c["conn_id"] for c in settings.connections] == ["ecw_default", "crm_default"]
    assert {v["variable_name"] for v in settings.variables} == {
        "ecw_staging",
        "ecw_pull_schedule",
        "ecw_pull_resources",
    }


def test_the_demos_file_has_connections_pool_and_variables() -> None:
    settings = read_settings(DEMO)
    assert [c["conn_id"] for c in settings.connections] == ["ecw_default", "crm_default"]
    assert [p["pool_name"] for p in settings.pools] == ["ecw_api"]
    assert [v["variable_name"] for v in settings.variables] == [
        "ecw_staging",
        "ecw_pull_schedule",
        "ecw_pull_resources",
    ]


@pytest.mark.parametrize("file", [DEMO, ROOT / "airflow_settings.yaml"])
def test_no_file_of_the_project_has_a_secret(file: Path) -> None:
    for connection in read_settings(file).connections:
        assert "conn_password" not in connection
        assert "client_secret" not in connection.get("conn_extra", {})
    assert "PRIVATE KEY" not in file.read_text()


def test_a_change_can_set_a_field_and_a_key_of_the_extra() -> None:
    changes = ["ecw_default.conn_host=https://a.example/fhir/r4/X1", "ecw_default.conn_extra.key_id=k2"]
    ecw = read_settings(DEMO, changes).connections[0]
    assert ecw["conn_host"] == "https://a.example/fhir/r4/X1"
    assert ecw["conn_extra"]["key_id"] == "k2"
    assert ecw["conn_extra"]["jwks_url"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("airflow: [", "line 1: this is not YAML"),
        ("airflow: {pools: [{pool_name: p, pool_slot: four}]}", "p: pool_slot is not a whole number"),
        ("connections: []", "no top key 'airflow'"),
        ("airflow: {conections: []}", "unknown key 'conections'.*did you mean 'connections'"),
        ("airflow: {pools: {}}", "'pools' is not a list"),
        ("airflow: {pools: [ecw]}", "entry 1 of 'pools' is not a table"),
        ("airflow: {pools: [{pool_nam: x}]}", "unknown key 'pool_nam'.*did you mean 'pool_name'"),
        ("airflow: {connections: [{conn_type: ecw}]}", "entry 1 of 'connections' has no 'conn_id'"),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    if text == "airflow: {pools: {}}":
        text = "airflow: {pools: {pool_name: x}}"
    with pytest.raises(ConfigurationError, match=message):
        read_settings(settings_file(tmp_path, text))


def test_a_line_that_is_not_yaml_is_not_quoted(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "airflow:\n  connections:\n    - conn_password: 'hunter2\n")
    with pytest.raises(ConfigurationError, match=r"line \d+: this is not YAML") as caught:
        read_settings(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("change", ["ecw_default.conn_host", "nobody.conn_host=x", "ecw_default.host=x"])
def test_a_change_of_an_unknown_entry_or_field_is_an_error(change: str) -> None:
    with pytest.raises(ConfigurationError, match="matches no entry"):
        read_settings(DEMO, [change])


def test_the_empty_entries_that_the_astro_cli_writes_are_ignored(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "airflow: {connections: [{conn_id: , conn_type: }], pools: , variables: }")
    assert read_settings(path).connections == ()


BEFORE = """
from airflow.models.connection import Connection
from airflow.utils.session import create_session
with create_session() as session:
    session.add(Connection("other", "http", host="other.example"))
    session.add(Connection("ecw_default", "http", password="kept"))
"""
AFTER = """
import json
from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import select
with create_session() as session:
    connections = {c.conn_id: c.as_json() for c in session.scalars(select(Connection))}
    print(json.dumps([connections, Pool.get_pool("ecw_api").slots, Variable.get("ecw_staging")]))
"""


@pytest.mark.journey
def test_applying_twice_changes_nothing_more_and_leaves_other_entries_unchanged(tmp_path: Path) -> None:
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    no_tables = subprocess.run(
        [BIN / "ecw", "settings", "apply"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert no_tables.returncode == 1
    assert "set AIRFLOW_HOME to your Airflow's" in no_tables.stderr
    assert "Traceback" not in no_tables.stderr
    run(BIN / "airflow", "db", "migrate")
    run(sys.executable, "-c", BEFORE)
    assert run(BIN / "ecw", "settings", "apply") == "pool ecw_api: 4 slots\n", (
        "the project's file creates only the pool"
    )
    assert "connection ecw_default: updated" in run(BIN / "ecw", "settings", "apply", "--file", DEMO)
    first = run(sys.executable, "-c", AFTER).splitlines()[-1]
    assert "connection crm_default: updated" in run(BIN / "ecw", "settings", "apply", "--file", DEMO)
    assert run(sys.executable, "-c", AFTER).splitlines()[-1] == first
    connections, slots, staging = json.loads(first)
    connections = {name: json.loads(connection) for name, connection in connections.items()}
    assert set(connections) >= {"other", "ecw_default", "crm_default"}
    assert connections["other"]["host"] == "other.example"
    assert connections["ecw_default"]["conn_type"] == "ecw"
    assert connections["ecw_default"]["password"] == "kept"
    assert (slots, staging) == (4, ".run/staging")
