"""Connections from the environment and from Airflow's database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecw.errors import ConfigurationError
from ecw.settings import connections


def test_a_connection_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SOMEWHERE", '{"conn_type": "sqlite", "host": "/data/crm.db"}')
    assert connections.get("somewhere").host == "/data/crm.db"


def test_the_error_about_a_missing_connection_says_where_to_add_it() -> None:
    with pytest.raises(ConfigurationError, match="Admin > Connections, or set AIRFLOW_CONN_NOWHERE"):
        connections.get("nowhere")
    assert "_AIRFLOW_PROCESS_CONTEXT" not in os.environ


def test_a_terminal_finds_the_connections_of_airflows_own_database(tmp_path: Path) -> None:
    # In a separate process, because Airflow binds its database when it is first imported.
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    script = """
from airflow import settings
from airflow.models import Connection
settings.initialize()
Connection.metadata.create_all(settings.engine, tables=[Connection.__table__, Connection.metadata.tables["team"]])
with settings.Session() as session:
    session.add(Connection(conn_id="crm_default", conn_type="sqlite", host="/x"))
    session.commit()
from ecw.settings import connections
print("found", connections.get("crm_default").host)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert "found /x" in done.stdout, done.stderr
