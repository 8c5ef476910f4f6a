import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ecw.cli import group
from ecw.errors import ConfigurationError


@pytest.fixture
def environment(monkeypatch, sandbox, keys):
    extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id, "jwks_url": keys.jwks_url}
    fields = {"conn_type": "ecw", "host": sandbox.base_url, "login": keys.client_id, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", json.dumps(fields))
    monkeypatch.setenv("AIRFLOW_CONN_ECW_OTHER", json.dumps(fields | {"login": "nobody"}))


def check(*options: str):
    return CliRunner().invoke(group, ["check", *options])


def test_one_line_per_step_and_exit_code_0(environment):
    result = check()
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["✓ discovery", "✓ key", "✓ token", "✓ read"]


def test_a_missing_connection_is_named(environment):
    result = check("--conn-id", "ecw_missing")
    assert isinstance(result.exception, ConfigurationError)
    assert "AIRFLOW_CONN_ECW_MISSING" in result.exception.next_step


def test_the_check_stops_at_the_step_that_fails(environment):
    result = check("--conn-id", "ecw_other")
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["✓ discovery", "✓ key", "✗ token"]
    assert "refused client nobody" in result.output


STORE = """
import sys
from airflow import settings
from airflow.models import Connection
from airflow.models.team import Team
Connection.metadata.create_all(settings.engine, [Team.__table__, Connection.__table__])
with settings.Session() as session:
    session.add(Connection.from_json(sys.argv[1], conn_id="ecw_default"))
    session.commit()
"""


@pytest.mark.journey
@pytest.mark.large_practice
def test_the_connection_is_found_in_airflows_database(tmp_path, sandbox, keys):
    """The command reads it from Airflow's own database, in a terminal without a task or a server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment |= {"AIRFLOW_HOME": str(tmp_path)}
    extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id}
    fields = {"conn_type": "ecw", "host": sandbox.base_url, "login": keys.client_id, "extra": extra}

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

    stored = run(STORE, json.dumps(fields))
    assert stored.returncode == 0, stored.stderr
    done = run("from ecw.cli import main; main()", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("✓ read: 10 practitioners")
