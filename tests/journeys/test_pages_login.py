"""Where Airflow asks for a login, so do the pages: a real API server with two users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ecw.crm.db.engine import engine_from_url
from ecw.crm.db.migrations import migrate
from tests.fixtures.demo import free_ports

ROOT = Path(__file__).resolve().parents[2]
PATHS = ("/ecw/quality", "/ecw/quality/run?run_id=x", "/ecw/logs")
START_S = 240
pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API server that knows the viewer ann, and has our plugins folder."""
    folder = tmp_path_factory.mktemp("airflow")
    engine = engine_from_url(f"sqlite:///{folder / 'crm.db'}")
    migrate(engine)
    engine.dispose()
    (folder / "passwords.json").write_text(json.dumps({"ann": "secret"}))
    port, _ = free_ports()
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
        "AIRFLOW_CONN_CRM_DEFAULT": json.dumps(
            {"conn_type": "generic", "extra": {"url": f"sqlite:///{folder / 'crm.db'}"}}
        ),
        "PYTHONWARNINGS": "ignore",
    }
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*airflow, "api-server", "--port", str(port), "--host", "127.0.0.1", "--workers", "1"],
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(process, f"{address}/api/v2/monitor/health", folder / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(address, timeout=600).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the API server did not start:\n{log.read_text()[-3000:]}")


def test_the_pages_ask_for_a_login_and_show_themselves_to_a_viewer(server: str) -> None:
    for path in PATHS:
        assert requests.get(f"{server}{path}", timeout=600).status_code == 401, path
        forged = requests.get(f"{server}{path}", headers={"Authorization": "Bearer forged"}, timeout=600)
        assert forged.status_code in (401, 403), path

    login = requests.post(f"{server}/auth/token", json={"username": "ann", "password": "secret"}, timeout=600)
    assert login.status_code == 201, login.text
    token = login.json()["access_token"]
    for path in PATHS:
        page = requests.get(f"{server}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=600)
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), page.text
        # As a browser asks: Airflow's login is a cookie.
        assert requests.get(f"{server}{path}", cookies={"_token": token}, timeout=600).status_code == 200, path
