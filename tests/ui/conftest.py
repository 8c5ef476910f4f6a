"""The console's app without a server, with users of Airflow's simple auth manager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from sqlalchemy import Engine

from ecw.ui.access import HEADER
from ecw.ui.app import app

AsRole = Callable[..., "Client"]
CONSOLE_HEADERS = {HEADER: "1", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Client:
    """Sends requests to an app; a POST has the headers that the console's own page sends."""

    app: Any

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._request("GET", path, options)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return self._request(
            "POST", path, {"json": body or {}, "headers": CONSOLE_HEADERS if headers is None else headers}
        )

    def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://pages") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())


@pytest.fixture(scope="session")
def _rights(airflow_tables: None) -> None:
    """Let Airflow's own auth manager decide, as its API server does; it reads Airflow's own database."""
    create_auth_manager()


@pytest.fixture
def as_role(_rights: None) -> Iterator[AsRole]:
    """Return a function that makes a client with a role: viewer, user, op, admin; None is a login without a role."""

    apps = []

    def client(role: str | None, app: Any = app) -> Client:
        app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="uma", role=role)
        apps.append(app)
        return Client(app)

    yield client
    for each in apps:
        each.dependency_overrides.clear()


@pytest.fixture
def console(crm_url: str, crm_engine: Engine, as_role: AsRole, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client of the console with an empty CRM, for a user with all rights."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return as_role("admin")
