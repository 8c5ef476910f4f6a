"""Every route needs a login and its rights: the tests go through the app's own list of routes, so new ones count."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

from ecw.ui import jwks, static_files
from ecw.ui.access import (
    HEADER,
    READ,
    REPLAY_DAG,
    VALUES,
    MayAct,
    act,
    allowed,
    from_this_page,
    logged_in,
    may_read,
    may_see_values,
)
from ecw.ui.app import app
from tests.ui.conftest import CONSOLE_HEADERS, AsRole, Client

# The files are program text without data: a login is enough. The published keys are public.
FILES = {route.path for route in static_files.router.routes if isinstance(route, APIRoute)}
ROUTES = [route for route in app.routes if route is not jwks.route]
# An app that tests the rights by themselves, independent of the pages that use them today.
PROBE = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@PROBE.post("/probe/act", dependencies=[READ, *act(REPLAY_DAG)])
@PROBE.post("/probe/values", dependencies=[READ, Depends(from_this_page), VALUES])
def probed() -> str:
    return "done"


@dataclass(frozen=True)
class RouteCall:
    """A request to a route, with its path filled in."""

    app: FastAPI
    route: APIRoute
    method: str

    @property
    def path(self) -> str:
        return self.route.path.replace("{path:path}", "console.js").replace("{", "").replace("}", "")

    @property
    def rights(self) -> list[object]:
        return [each.call for each in self.route.dependant.dependencies]

    def __str__(self) -> str:
        return f"{self.method} {self.route.path}"


CALLS = [
    RouteCall(of, route, method)
    for of, routes in ((app, ROUTES), (PROBE, PROBE.routes))
    for route in routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]


def status_of(client: Client, call: RouteCall) -> int:
    return (client.post(call.path) if call.method == "POST" else client.get(call.path)).status_code


def test_these_tests_cover_every_route() -> None:
    assert len(CALLS) > 3
    assert all(isinstance(route, APIRoute) for route in ROUTES)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_request_without_a_login_is_401(call: RouteCall) -> None:
    assert status_of(Client(call.app), call) == 401


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_request_without_rights_is_403(call: RouteCall, as_role: AsRole) -> None:
    assert status_of(as_role(None, call.app), call) == (200 if call.route.path in FILES else 403)


def test_a_user_with_the_rights_is_served(as_role: AsRole) -> None:
    assert as_role("op", PROBE).post("/probe/values").json() == "done"
    assert as_role("user", PROBE).post("/probe/act").json() == "done"


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_each_route_names_its_rights(call: RouteCall) -> None:
    """A GET needs the right to read; a POST must come from the console's page, and acts by a DAG or shows values."""
    assert call.method in ("GET", "POST")
    reads = may_read in call.rights or allowed in call.rights
    assert reads != (call.route.path in FILES and logged_in in call.rights)
    assert call.method == "GET" or may_read in call.rights
    acts = [right for right in call.rights if isinstance(right, MayAct)]
    assert (from_this_page in call.rights) == (call.method == "POST")
    assert bool(acts or may_see_values in call.rights) >= (call.method == "POST")
    assert call.method == "POST" or not acts


@pytest.mark.parametrize("call", [call for call in CALLS if call.method == "POST"], ids=str)
def test_a_viewer_may_not_act(call: RouteCall, as_role: AsRole) -> None:
    assert status_of(as_role("viewer", call.app), call) == 403


@pytest.mark.parametrize("call", [call for call in CALLS if may_see_values in call.rights], ids=str)
@pytest.mark.parametrize("role", ["viewer", "user"])
def test_values_need_the_right_to_edit_the_crms_connection(call: RouteCall, role: str, as_role: AsRole) -> None:
    assert status_of(as_role(role, call.app), call) == 403


@pytest.mark.parametrize("call", [call for call in CALLS if call.method == "POST"], ids=str)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({HEADER: "1", "Sec-Fetch-Site": "cross-site"}, 403),
        ({HEADER: "1", "Sec-Fetch-Site": "same-site"}, 403),
        ({HEADER: "1", "Origin": "https://elsewhere.example"}, 403),
        (CONSOLE_HEADERS | {"Content-Type": "text/plain"}, 415),
    ],
)
def test_a_request_of_another_site_is_refused(
    call: RouteCall, headers: dict[str, str], status: int, as_role: AsRole
) -> None:
    assert as_role("admin", call.app).post(call.path, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc"])
def test_the_documentation_pages_of_the_api_are_off(path: str) -> None:
    assert Client(app).get(path).status_code == 404


@pytest.mark.parametrize(
    ("role", "act", "values"),
    [("viewer", [], False), ("user", ["ecw_pull", "ecw_push_patients", "ecw_replay"], False)],
)
def test_the_route_me_returns_the_user_s_rights(role: str, act: list[str], values: bool, as_role: AsRole) -> None:
    rights = {"practice": "", "suffix": "", "crm": "crm_default", "act": act, "values": values}
    assert as_role(role).get("/api/me").json() == {"name": "uma", "practices": [rights]}
    assert as_role("op").get("/api/me").json()["practices"][0]["values"] is True


@pytest.mark.parametrize("path", ["/api/me", "/quality/run?run_id=%00", "/static/console.js", "/api/nowhere"])
def test_every_response_has_the_security_headers(path: str, as_role: AsRole) -> None:
    headers = as_role("viewer").get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] in ("no-store", "private, no-cache")


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/nowhere.js", "/static/pages"])
def test_no_other_file_is_served(path: str, as_role: AsRole) -> None:
    assert as_role("admin").get(path).status_code == 404


def test_a_wrong_crm_connection_is_an_error_with_the_next_step(
    as_role: AsRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "http", "host": "nowhere"}))
    answer = as_role("viewer").get("/api/status")
    assert answer.status_code == 500
    detail = answer.json()["detail"]
    assert "does not say where the CRM" in detail["what"]
    assert detail["next_step"].startswith("use type sqlite")
    assert (detail["who"], detail["kind"]) == ("data engineer", "ConfigurationError")
