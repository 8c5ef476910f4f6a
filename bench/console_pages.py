"""Response times of the console's API with a large CRM, and the growth of its server's memory.

One practice has a million journal entries, 200,000 rejects and the insurance of 200,000 patients; 19 small practices
share the CRM. Both databases are measured. Each address is called like from a browser, but without the network:
rights, CRM connection, JSON. Times are CPU times of this process and the database, so other work does not count.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
from sqlalchemy import text

from bench.load_patients import fresh, postgresql
from bench.result import Result
from ecw.crm.db.engine import engine_from_url
from tests.fixtures.console_data import Scale, fill, run_id

ENTRIES = int(os.environ.get("BENCH_ENTRIES", "1000000"))
LARGE = Scale(days=14, first_load=ENTRIES // 5, entries=ENTRIES * 4 // 5, rejects=ENTRIES // 5, patients=ENTRIES // 5)
SMALL = Scale(days=14, rejects=40)
PRACTICES = 20
MOST_MS = 300
TIMES = 7
ROUNDS = 10  # of all addresses, between two measurements of the memory
P = "practice=P00"
# Every GET of the API that needs only the CRM, with the queries to measure.
QUERIES = {
    "/api/me": [""],
    "/api/status": [""],
    "/api/overview": [P, "practice=P07"],
    "/api/logs/choices": [P],
    "/api/logs/csv": [f"{P}&outcome=unknown"],
    "/api/logs/runs": [
        *(P, f"{P}&direction=push", f"{P}&outcome=unknown", f"{P}&resource=encounter", f"{P}&outcome=done"),
        *(f"{P}&direction=push&resource=patient", f"{P}&direction=pull&outcome=unknown", "{next}"),
    ],
    "/api/logs": [
        *(P, f"{P}&direction=push", f"{P}&outcome=unknown", f"{P}&resource=encounter", f"{P}&code=EMRPAT-21"),
        *(f"{P}&record=pat-77", f"{P}&run={{first}}", f"{P}&direction=pull&outcome=done", "{next}"),
    ],
    "/api/practices": [""],
    "/api/quality": [P],
    "/api/rejects/groups": [P, f"{P}&state=resolved"],
    "/api/rejects": [
        *(P, f"{P}&rule=pattern", f"{P}&resource=patient", f"{P}&record=pat-77", f"{P}&run={{first}}", "{next}"),
        f"{P}&resource=patient&step=check&rule=pattern&column=phone",
    ],
    "/api/conflicts": [P, f"{P}&resource=patient&column=phone"],
    "/api/matches": [P],
    "/api/records": [f"{P}&id=pat-77", f"{P}&id=nobody"],
    "/api/records/story": [f"{P}&resource=patient&ecw_id=pat-77", f"{P}&resource=patient&crm_id=4"],
}


def results() -> list[Result]:
    """Measure the slowest response of each address and the growth of the memory, on both databases."""
    found = []
    with tempfile.TemporaryDirectory() as folder, postgresql() as server:
        os.environ.setdefault("AIRFLOW_HOME", folder)
        for name, database in (("sqlite", f"sqlite:///{folder}/crm.db"), ("postgres", server)):
            url = fresh(database)
            fill_crm(url)
            with served(url) as ask:
                found += list(measured(name, ask, _postmaster(url)))
    return found


def fill_crm(url: str) -> None:
    """Fill an empty CRM with one large and many small practices."""
    engine = engine_from_url(url)
    for number in range(PRACTICES):
        fill(engine, f"P{number:02}", SMALL if number else LARGE)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # autovacuum would do it within minutes
    engine.dispose()


@contextmanager
def served(url: str) -> Iterator[Any]:
    """Yield a function that calls the app as a user who may see everything."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.utils.session import create_session

    from ecw.ui.app import app

    import_all_models()
    with create_session() as session:
        Base.metadata.create_all(session.get_bind())
    create_auth_manager()
    os.environ["AIRFLOW_CONN_CRM_DEFAULT"] = json.dumps({"conn_type": "generic", "extra": {"url": url}})
    for number in range(PRACTICES):
        fields = {"conn_type": "ecw", "host": f"https://fhir.example/fhir/r4/P{number:02}"}
        os.environ[f"AIRFLOW_CONN_ECW_P{number:02}"] = json.dumps(fields)
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="bench", role="admin")
    with asyncio.Runner() as loop:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench", timeout=600)

        def ask(address: str) -> httpx.Response:
            answer = loop.run(client.get(address))
            assert answer.status_code == 200, (address, answer.text)
            return answer

        yield ask
        loop.run(client.aclose())
    app.dependency_overrides.clear()


def addresses(ask: Any) -> list[str]:
    """Return the addresses to measure, including later pages and the largest run."""
    first = run_id(oldest(ask))
    urls = []
    for path, queries in QUERIES.items():
        for query in queries:
            if query == "{next}":
                cursor = ask(f"{path}?{P}").json()["next"]
                urls.append(str(httpx.URL(path, params={"practice": "P00", "cursor": cursor})))
            else:
                parameters = dict(part.split("=", 1) for part in query.format(first=first).split("&") if part)
                urls.append(str(httpx.URL(path, params=parameters)))
    return urls


def oldest(ask: Any) -> datetime:
    """Return when the first run began."""
    runs = ask(f"/api/overview?{P}").json()["runs"]
    return datetime.fromisoformat(runs[0]["at"]).astimezone(UTC)


def measured(name: str, ask: Any, postmaster: psutil.Process | None) -> Iterator[Result]:
    """Yield the figures of one database."""
    every = addresses(ask)
    slowest: dict[str, tuple[float, str]] = {}
    for address in every:
        path = address.partition("?")[0]
        ask(address)
        before = _cpu(postmaster)
        for _ in range(TIMES):
            ask(address)
        slowest[path] = max(slowest.get(path, (0.0, "")), (1000 * (_cpu(postmaster) - before) / TIMES, address))
    for path, (milliseconds, address) in slowest.items():
        yield Result(
            name=f"console_{path.removeprefix('/api/').replace('/', '_')}_ms_{name}",
            value=round(milliseconds, 1),
            unit="ms",
            baseline=MOST_MS,
            ratio=round(milliseconds / MOST_MS, 3),
            how=f"{ENTRIES:,} entries of one of {PRACTICES} practices; CPU time, mean of {TIMES}; slowest: {address}",
        )
    for address in every * 2:
        ask(address)
    before = memory()
    for address in every * ROUNDS:
        ask(address)
    grown = memory() - before
    yield Result(
        name=f"console_memory_growth_mb_{name}",
        value=round(grown, 1),
        unit="MB",
        baseline=None,
        ratio=None,
        how=f"{ROUNDS * len(every)} responses after {(TIMES + 3) * len(every)} others, in one process",
    )


def _postmaster(url: str) -> psutil.Process | None:
    """Return PostgreSQL's main process; None for SQLite, which runs in this process."""
    if not url.startswith("postgresql"):
        return None
    engine = engine_from_url(url)
    with engine.connect() as connection:
        postmaster = psutil.Process(connection.scalar(text("SELECT pg_backend_pid()"))).parent()
    engine.dispose()
    return postmaster


def _cpu(postmaster: psutil.Process | None) -> float:
    """Return the CPU seconds of this process and of the database, including children that have ended."""
    mine = time.process_time()
    if postmaster is None:
        return mine
    alive = 0.0
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):  # it has just ended: the postmaster's own times have it
            alive += sum(child.cpu_times()[:2])
    return float(mine + sum(postmaster.cpu_times()[:4]) + alive)


def memory() -> float:
    """Return the memory of this process in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20
