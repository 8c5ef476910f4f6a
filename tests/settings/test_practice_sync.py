"""Saving a connection of type eClinicalWorks in Airflow adds a practice: the Variable and the pools are updated."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from click.testing import CliRunner
from sqlalchemy import select

from ecw.cli import group
from ecw.ecw_plugin import PracticesFollowConnections
from ecw.settings.practice_sync import sync
from ecw.settings.practices import VARIABLE

pytestmark = pytest.mark.usefixtures("airflow_db")


def save(conn_id: str, conn_type: str = "ecw") -> None:
    with create_session() as session:
        session.add(Connection(conn_id=conn_id, conn_type=conn_type, host="https://fhir.example/fhir/r4/ABC"))


def variable() -> str | None:
    with create_session() as session:
        row = session.scalar(select(Variable).where(Variable.key == VARIABLE))
        return None if row is None else row.get_val()


def pools() -> set[str]:
    with create_session() as session:
        return set(session.scalars(select(Pool.pool)))


def test_the_variable_names_every_connection_of_the_type_and_no_other() -> None:
    save("ecw_north")
    save("ecw_default")
    save("crm_default", "postgres")
    assert f"variable {VARIABLE}: ecw_default, ecw_north" in sync()
    assert variable() == "ecw_default, ecw_north"
    assert sync() == []


def test_a_pool_that_the_file_names_is_created_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "practices.yaml"
    file.write_text("practices:\n  north: {pool: ecw_api_north}\n")
    monkeypatch.setenv("ECW_PRACTICES", str(file))
    save("ecw_north")
    assert "pool ecw_api_north: created with 4 slots" in sync()
    assert "ecw_api_north" in pools()
    with create_session() as session:
        session.scalars(select(Pool).where(Pool.pool == "ecw_api_north")).one().slots = 9
    assert sync() == [], "an existing pool keeps its slots"


def test_the_command_prints_its_changes() -> None:
    save("ecw_north")
    first = CliRunner().invoke(group, ["practice", "sync"], catch_exceptions=False)
    assert first.output.startswith(f"variable {VARIABLE}: ecw_north\n")
    again = CliRunner().invoke(group, ["practice", "sync"], catch_exceptions=False)
    assert again.output == "Nothing to do: the practices are known.\n"


def send_request(kind: str, method: str = "POST", path: str = "/api/v2/connections", status: int = 201) -> list[Any]:
    """Send a request through the middleware and return the messages of the answer."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path}
    asyncio.run(PracticesFollowConnections(app)(scope, None, send))
    return sent


@pytest.mark.parametrize(
    ("call", "updates"),
    [
        ({"kind": "lifespan"}, True),
        ({"kind": "http"}, True),
        ({"kind": "http", "method": "PATCH", "path": "/api/v2/connections/ecw_north", "status": 200}, True),
        ({"kind": "http", "method": "DELETE", "path": "/api/v2/connections/ecw_north", "status": 204}, True),
        ({"kind": "http", "method": "GET", "status": 200}, False),
        ({"kind": "http", "status": 403}, False),
        ({"kind": "http", "path": "/api/v2/variables"}, False),
    ],
)
def test_the_variable_is_updated_after_a_request_that_may_have_saved_a_connection(
    call: dict[str, Any], updates: bool
) -> None:
    save("ecw_north")
    answered = send_request(**call)
    assert (variable() == "ecw_north") == updates
    assert [message["status"] for message in answered] == [call.get("status", 201)]


def test_a_file_that_is_wrong_does_not_harm_the_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "practices.yaml"
    file.write_text("practices: [north]\n")
    monkeypatch.setenv("ECW_PRACTICES", str(file))
    assert send_request("http")
    assert "Practices were not updated (ConfigurationError); next: run `ecw practice sync`." in caplog.text
