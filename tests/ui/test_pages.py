"""What the pages show of the CRM, on both databases, and that nobody sees them without a login."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Engine, inspect

from ecw.crm.db.tables import ecw_journal
from ecw.crm.load import journal
from ecw.crm.state import quality_results, runs
from ecw.crm.state.quality_results import Finding
from ecw.errors import ConfigurationError
from ecw.reports import journal as journal_pages
from ecw.reports import quality as reports
from ecw.ui.app import ROUTERS, app, may_see, told
from tests.fixtures.loads import a_reject, a_row, a_run, load

pytestmark = pytest.mark.both_databases

RUN = "scheduled__2026-11-22T10:00:00+00:00"
VOLUME = Finding("volume", "", "at least 50% of the usual number", "stop", 12, 0, "pass", usual=12, scope="whole")
HOSTILE = "<script>alert('x')</script>"


class Client:
    """Asks an app without a server."""

    def __init__(self, app: FastAPI) -> None:
        self.transport = httpx.ASGITransport(app)

    def get(self, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://pages") as client:
                return await client.get(path, **options)

        return asyncio.run(ask())


@pytest.fixture
def pages(crm_url: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The pages as one who is logged in sees them: the same routes, behind no door."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    inside = FastAPI()
    for router in ROUTERS:
        inside.include_router(router)
    inside.add_exception_handler(ConfigurationError, told)  # type: ignore[arg-type]  # starlette wants Exception
    return Client(inside)


def rule(**changes: Any) -> Finding:
    values: dict[str, Any] = {"rule": "pattern", "column": "state", "demand": "matches [A-Z]{2}", "on_fail": "reject"}
    return Finding(
        **values | {"rows": 12, "broken": 1, "verdict": "reject", "reason": "told", "max_failed_ratio": 0.05} | changes
    )


def test_a_runs_report_shows_rules_counts_and_rejects(pages: Client, crm_engine: Engine) -> None:
    run = a_run(RUN)
    quality_results.write(crm_engine, run, "location", [VOLUME, rule(), rule(rule="unique", verdict="pass", broken=0)])
    load(crm_engine, [a_row("a", "Secret Street")], [a_reject("b"), a_reject("c")], run)

    page = pages.get("/quality/run", params={"run_id": RUN})

    assert page.status_code == 200
    assert "fetched 3, rejected 2" in page.text
    assert "12 records fetched, usual are 12" in page.text
    for words in ("matches [A-Z]{2}", "told", "5 %", ">reject<", ">pass<", "Rejected in this run", "<td>required</td>"):
        assert words in page.text
    assert "Secret" not in page.text


def test_a_task_shows_its_resource_alone(pages: Client, crm_engine: Engine) -> None:
    for resource in ("patient", "location"):
        quality_results.write(crm_engine, a_run(RUN), resource, [VOLUME, rule(column=f"column of {resource}")])

    page = pages.get("/quality/run", params={"run_id": RUN, "task_id": "patient.check"})
    assert "column of patient" in page.text
    assert "column of location" not in page.text
    for task in ("summary", ""):
        assert "column of location" in pages.get("/quality/run", params={"run_id": RUN, "task_id": task}).text


def test_a_stopped_run_shows_the_error_and_its_next_move(pages: Client, crm_engine: Engine) -> None:
    run = a_run(RUN)
    error = ConfigurationError("It went wrong.", next_move="fix it.")
    runs.fail(crm_engine, run, "patient", error)
    quality_results.write(
        crm_engine, run, "patient", [Finding("volume", "", "x", "stop", 0, 9, "stop", usual=9, scope="whole")]
    )

    page = pages.get("/quality/run", params={"run_id": RUN})

    assert "It went wrong. Next (data engineer): fix it." in page.text
    assert "the volume stopped the resource" in page.text


def test_a_run_without_a_report_says_so(pages: Client) -> None:
    page = pages.get("/quality/run", params={"run_id": "manual__of another DAG"})

    assert page.status_code == 200
    assert "There is no quality report of this run" in page.text


def test_the_list_of_runs_shows_the_worst_verdicts_and_leads_to_the_run(pages: Client, crm_engine: Engine) -> None:
    quality_results.write(crm_engine, a_run("older"), "patient", [VOLUME])
    quality_results.write(crm_engine, a_run(RUN), "patient", [VOLUME, rule(verdict="warn"), rule(verdict="reject")])

    page = pages.get("/quality")

    assert page.text.index(RUN) < page.text.index("older")
    assert 'href="quality/run?run_id=scheduled__2026-11-22T10%3A00%3A00%2B00%3A00"' in page.text
    assert page.text.count('<td class="verdict reject">reject</td>') == 1
    assert page.text.count('<td class="verdict pass">pass</td>') == 1


def test_what_the_tables_hold_is_escaped(pages: Client, crm_engine: Engine) -> None:
    run = a_run(HOSTILE)
    quality_results.write(crm_engine, run, "patient", [VOLUME, rule(column=HOSTILE, demand=HOSTILE, reason=HOSTILE)])
    an_entry(crm_engine, words=HOSTILE, run_id=HOSTILE, advice=HOSTILE, ecw_id=HOSTILE, fields=[HOSTILE])

    for address in ("/quality", f"/quality/run?run_id={HOSTILE}", f"/logs?run_id={HOSTILE}", f"/logs?start={HOSTILE}"):
        page = pages.get(address)
        assert HOSTILE not in page.text
        assert "&lt;script&gt;" in page.text


def an_entry(engine: Engine, at: datetime | None = None, **changes: Any) -> None:
    values: dict[str, Any] = {"practice": "P1", "resource": "patient", "run_id": "r1", "direction": "pull"}
    values |= {"operation": "update", "outcome": "done", "words": "pulled"} | changes
    with engine.begin() as connection:
        journal.write(connection, **values)
        if at is not None:
            connection.execute(ecw_journal.update().where(ecw_journal.c.words == values["words"]).values(at=at))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"direction": "push"}, ["b"]),
        ({"resource": "encounter"}, ["c"]),
        ({"outcome": "fix the data"}, ["b"]),
        ({"run_id": "r2"}, ["c"]),
        ({"record": "ecw-1"}, ["a"]),
        ({"record": " 77 "}, ["b"]),
        ({"start": "2026-11-22T10:00", "end": "2026-11-22T11:00"}, ["b"]),
        ({"start": "2026-11-22T12:00:00+01:00"}, ["c"]),
        ({"practice": "P2"}, ["d"]),
        ({"direction": "push", "resource": "encounter"}, []),
    ],
)
def test_the_logs_are_filtered(pages: Client, crm_engine: Engine, asked: dict[str, str], found: list[str]) -> None:
    hour = datetime(2026, 11, 22, 9, tzinfo=UTC)
    an_entry(crm_engine, hour, words="said a", ecw_id="ecw-1")
    an_entry(
        crm_engine, hour + timedelta(hours=1), words="said b", direction="push", outcome="fix the data", crm_id="77"
    )
    an_entry(crm_engine, hour + timedelta(hours=2), words="said c", resource="encounter", run_id="r2")
    an_entry(crm_engine, hour, words="said d", practice="P2")

    page = pages.get("/logs", params=asked)

    assert page.status_code == 200
    assert [name for name in "abcd" if f"said {name}" in page.text] == found
    assert ("No entry is like that." in page.text) == (not found)


def test_the_logs_come_in_pages_the_newest_first(pages: Client, crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        for number in range(205):
            journal.write(
                connection,
                **{"practice": "P1", "resource": "patient", "run_id": "r1", "direction": "pull"},
                **{"operation": "update", "outcome": "done", "words": f"said {number:03}"},
            )
    shown = []
    for page in range(3):
        text = pages.get("/logs", params={"page": page, "direction": "pull"}).text
        shown.append([number for number in range(205) if f"said {number:03}" in text])
        assert (f"direction=pull&amp;page={page + 1}" in text) == (page < 2)
    assert [len(page) for page in shown] == [100, 100, 5]
    assert sorted(number for page in shown for number in page) == list(range(205))
    assert shown[0][0] > shown[2][0]


def test_a_wrong_time_is_told_and_no_entry_is_shown(pages: Client, crm_engine: Engine) -> None:
    an_entry(crm_engine, words="said a")

    page = pages.get("/logs", params={"start": "yesterday"})

    assert page.status_code == 400
    assert "is not a time such as 2026-11-25T10:00" in page.text
    assert "said a" not in page.text


def test_empty_logs_say_so(pages: Client) -> None:
    assert "Nothing has been pushed or changed yet." in pages.get("/logs").text


def test_a_crm_that_is_not_there_is_told_with_the_next_move(pages: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "http", "host": "nowhere"}))

    page = pages.get("/quality")

    assert page.status_code == 500
    assert "does not say where the CRM" in page.text
    assert "Next (data engineer): use type sqlite" in page.text


def test_a_page_may_load_nothing_and_stands_in_no_other_frame(pages: Client) -> None:
    for route in ("/quality", "/quality/run?run_id=x", "/logs"):
        policy = pages.get(route).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy


def test_no_page_is_open_to_somebody_without_a_login() -> None:
    """Every route of the app that Airflow mounts, by Airflow's own check."""
    paths = [route.path for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(paths) >= 3
    client = Client(app)
    for path in paths:
        assert client.get(path, params={"run_id": "x"}).status_code == 401, path
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("path", ["/logs?record=a%00b", "/logs?run_id=%00", "/quality/run?run_id=%00", "/logs?%00=1"])
def test_a_nul_in_a_parameter_is_a_bad_request(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.dependency_overrides, may_see, lambda: None)
    answer = Client(app).get(path)
    assert answer.status_code == 400
    assert "NUL" in answer.text


def test_every_filter_of_the_logs_has_an_index(crm_engine: Engine) -> None:
    """SQLite says how it goes through a table; PostgreSQL has the same indexes, and chooses by statistics."""
    filters = {"direction": "push", "resource": "patient", "outcome": "failed", "run_id": "r", "record": "x"}
    with crm_engine.connect() as connection:
        for name, value in filters.items():
            statement = journal_pages.statement(journal_pages.Wanted("T1", **{name: value}))
            if crm_engine.dialect.name == "sqlite":
                text = str(statement.compile(crm_engine, compile_kwargs={"literal_binds": True}))
                plan = "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
                column = "crm_id" if name == "record" else name
                assert f"practice=? AND {column}=?" in plan, (name, plan)
            found = {index["name"] for index in inspect(connection).get_indexes("ecw_journal")}
            assert {
                f"ecw_journal_by_{column}" for column in filters.keys() - {"record"} | {"crm_id", "ecw_id"}
            } <= found


def test_the_list_of_checked_runs_reads_an_index_alone(crm_engine: Engine) -> None:
    with crm_engine.connect() as connection:
        assert "ecw_quality_runs" in {index["name"] for index in inspect(connection).get_indexes("ecw_quality_result")}
        if crm_engine.dialect.name == "sqlite":
            text = reports.runs_statement().compile(crm_engine)
            plan = "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
            assert "USING COVERING INDEX ecw_quality_runs" in plan, plan
            assert "TEMP B-TREE FOR GROUP BY" not in plan, plan


def test_the_keys_are_published_only_where_a_variable_says_so(tmp_path, monkeypatch) -> None:
    client, path = Client(app), "/.well-known/jwks.json"
    monkeypatch.setenv("AIRFLOW_VAR_ECW_JWKS", str(tmp_path / "nowhere.json"))
    assert client.get(path).status_code == 404
    (tmp_path / "jwks.json").write_text(
        json.dumps({"keys": [{"kty": "RSA", "n": "1", "e": "AQAB", "kid": "a", "d": "x"}]})
    )
    monkeypatch.setenv("AIRFLOW_VAR_ECW_JWKS", str(tmp_path / "jwks.json"))
    assert client.get(path).json() == {"keys": [{"kty": "RSA", "n": "1", "e": "AQAB", "kid": "a"}]}
    (tmp_path / "jwks.json").write_text("no JSON")
    assert client.get(path).status_code == 404
