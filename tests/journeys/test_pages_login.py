"""Where Airflow asks for a login, so does the console: a real API server with users of several roles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.fixtures.api_server import Server, api_server

PATHS = ("/ecw/quality/run?run_id=x", "/ecw/api/status", "/ecw/api/me", "/ecw/static/console.js")
pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server that has our plugins folder."""
    with api_server(tmp_path_factory.mktemp("airflow")) as server:
        yield server


def test_the_console_asks_for_a_login_and_shows_itself_to_a_viewer(server: Server) -> None:
    for path in PATHS:
        address = f"{server.address}{path}"
        assert requests.get(address, timeout=600).status_code == 401, path
        forged = requests.get(address, headers={"Authorization": "Bearer forged"}, timeout=600)
        assert forged.status_code in (401, 403), path
    token = server.token("vera")
    for path in PATHS:
        address = f"{server.address}{path}"
        answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=600)
        assert answer.status_code == 200, answer.text
        # As a browser asks: Airflow's login is a cookie.
        assert requests.get(address, cookies={"_token": token}, timeout=600).status_code == 200, path
