"""A practice (the sandbox), a CRM and a staging area, and the whole pull over them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ecw.pull import steps
from ecw.words import Batch, Run
from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox


@dataclass
class Pulling:
    """Runs pulls as the DAG does, one function after the other."""

    crm: Engine
    staging: str
    run_count: int = 0
    batches: dict[str, list[Batch]] = field(default_factory=dict)

    def begin(
        self, run_type: str = "scheduled", run_id: str | None = None, options: dict[str, Any] | None = None
    ) -> Run:
        self.run_count += 1
        return steps.begin(
            run_id or f"{run_type}__2026-11-22T{self.run_count:02}:00:00+00:00",
            run_type,
            f"2026-11-22T{self.run_count - 1:02}:00:00+00:00",
            f"2026-11-22T{self.run_count:02}:00:00+00:00",
            ecw_conn_id="ecw_test",
            crm_conn_id="crm_test",
            staging=self.staging,
            options=options,
        )

    def resource(self, run: Run, name: str, *, full: bool = False) -> dict[str, int]:
        extracted = steps.extract(run, name)
        mapped = steps.map(run, extracted, full)
        checked = steps.check(run, mapped)
        self.batches[name] = [extracted, mapped, checked]
        return steps.load(run, checked)

    def __call__(self, *names: str, full: bool = False) -> dict[str, dict[str, int]]:
        run = self.begin()
        return {name: self.resource(run, name, full=full) for name in names or ("practitioner", "location")}

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.crm.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]


def connect(monkeypatch: pytest.MonkeyPatch, sandbox: RunningSandbox, keys: Keys) -> None:
    """Make the connection `ecw_test` to a sandbox."""
    extra: dict[str, Any] = {"private_key": keys.private_key_pem, "key_id": keys.key_id, "jwks_url": keys.jwks_url}
    extra |= {"calls_per_minute": 100_000}
    document = {"conn_type": "ecw", "host": sandbox.base_url, "login": keys.client_id, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(document))


@pytest.fixture
def pull(
    sandbox: RunningSandbox,
    keys: Keys,
    crm_engine: Engine,
    crm_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Pulling:
    """Pulls from the session's sandbox into a fresh CRM."""
    connect(monkeypatch, sandbox, keys)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING_DAYS", "14")
    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return Pulling(crm_engine, str(tmp_path / "staging"))


@pytest.fixture
def practice(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> Callable[[RunningSandbox], None]:
    """Return a function that makes another sandbox the practice that is pulled."""
    return lambda sandbox: connect(monkeypatch, sandbox, keys)
