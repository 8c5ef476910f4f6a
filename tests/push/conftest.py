"""Fixtures of the push's tests: a client of the sandbox, a patient resource, the CRM's patients, whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from requests import Session
from sqlalchemy import Engine, select, text

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import metadata
from ecw.fhir.client import EcwClient
from ecw.fhir.connection import EcwSettings
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy
from ecw.mapping.definition.files import load_mapping
from ecw.models import Push, PushRequest
from ecw.push import steps
from ecw.push.context import Pushing, PushRun, SendOptions
from tests.fixtures.keys import Keys
from tests.fixtures.pulling import WITHOUT_WAITING
from tests.fixtures.pulling import connect as connect_airflow
from tests.fixtures.sandbox import RunningSandbox


@pytest.fixture
def connect(keys: Keys) -> Callable[..., EcwClient]:
    """Return a function that makes a client with up to three attempts and no waits: `connect(sandbox, timeout=0.5)`."""

    def client(sandbox: Any, timeout: float | None = 10) -> EcwClient:
        settings = EcwSettings(
            base_url=sandbox.base_url,
            client_id=keys.client_id,
            private_key=keys.private_key_pem,
            key_id=keys.key_id,
            jwks_url=keys.jwks_url,
        )
        session = Session()
        session.trust_env = False
        retrier = Retrier(RetryPolicy(3, seconds=0), Circuit(failures=1_000_000), sleep=lambda seconds: None)
        return EcwClient(settings, session, timeout=timeout, retrier=retrier)

    return client


@pytest.fixture
def patient() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"use": "usual", "system": "urn:oid:2.16.840.1.113883.4.391.326070", "value": "ACC-1"}],
        "name": [{"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}],
        "gender": "female",
        "birthDate": "1980-01-02",
    }


ROW: dict[str, Any] = {
    "identifier": "ACC-1",
    "last_name": "Kowalczyk",
    "first_name": "Ewa",
    "birth_date": date(1980, 1, 2),
    "gender": "Female",
    "phone": "9135552003",
    "city": "Topeka",
}


class Crm:
    """The CRM's patients, as its users add and edit them, and the project's tables."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, **changes: Any) -> str:
        """Add a patient, ROW with these changes; return its id."""
        row = ROW | changes
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self.engine.begin() as connection:
            statement = f"INSERT INTO patient ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608
            return str(connection.execute(text(statement), row).scalar_one())

    def edit(self, crm_id: str, **changes: Any) -> None:
        sets = ", ".join(f"{name} = :{name}" for name in changes)
        with self.engine.begin() as connection:
            statement = f"UPDATE patient SET {sets} WHERE id = :id"  # noqa: S608
            connection.execute(text(statement), changes | {"id": int(crm_id)})

    def row(self, crm_id: str) -> dict[str, Any]:
        with reading(self.engine) as connection:
            found = connection.execute(text("SELECT * FROM patient WHERE id = :id"), {"id": int(crm_id)})
            return dict(found.mappings().one())

    def all(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of one of the project's tables."""
        with reading(self.engine) as connection:
            return [dict(row) for row in connection.execute(select(metadata.tables[table])).mappings()]

    def journal(self) -> list[tuple[str, str]]:
        """Return (operation, outcome) of the journal entries in the order of time."""
        rows = sorted(self.all("ecw_journal"), key=lambda row: row["at"])
        return [(row["operation"], row["outcome"]) for row in rows]


@pytest.fixture
def crm(crm_engine: Engine) -> Crm:
    return Crm(crm_engine)


@pytest.fixture
def pushing(crm_engine: Engine, sandbox: Any, connect: Any) -> Callable[..., Pushing]:
    """Return a function that makes the Pushing of a run: `pushing(unknown_outcome_wait_seconds=0, timeout=0.5)`."""
    mapping = load_mapping("patient")

    def make(
        run_id: str = "r1", allowed: Callable[[], bool] = lambda: True, timeout: float | None = 10, **options: Any
    ) -> Pushing:
        settings = SendOptions(**{"unknown_outcome_wait_seconds": 0.0} | options)
        return Pushing(crm_engine, connect(sandbox, timeout), mapping, PushRun(run_id, settings, allowed))

    return make


class Runs:
    """Whole runs of the push as in the DAG: each step's function in order, with Airflow's connections."""

    def __init__(self, connection: Callable[..., None]) -> None:
        self.connection = connection  # sets the connection's extra field `push`
        self.count = 0

    def begin(self, run_type: str = "manual", **options: Any) -> Push:
        self.count += 1
        run_id = f"{run_type}__{self.count}"
        return steps.begin(PushRequest(run_id, run_type, "ecw_test", "crm_test", options))

    def finish(self, push: Push, approval: Any = None) -> dict[str, Any]:
        steps.send(push, approval)
        steps.confirm(push)
        return steps.summary(push)

    def __call__(self, run_type: str = "manual", approval: Any = None, **options: Any) -> dict[str, Any]:
        return self.finish(self.begin(run_type, **options), approval)


@pytest.fixture
def run(sandbox: RunningSandbox, keys: Keys, crm_url: str, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return runs of the push into the sandbox of the test, without waits unless the connection sets them."""

    def set_options(**push: Any) -> None:
        connect_airflow(monkeypatch, sandbox, keys, push=WITHOUT_WAITING | push)

    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_test")
    for name in ("ECW_PUSH_KILL_SWITCH", "ECW_PUSH_AUTO_START"):
        for practice in ("", "__TEST"):
            monkeypatch.setenv(f"AIRFLOW_VAR_{name}{practice}", "no" if name.endswith("SWITCH") else "yes")
    set_options()
    return Runs(set_options)
