"""Loads that write the CRM's journal, and the steps of crm_vob that read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, text

import ecw.hooks.ecw  # noqa: F401 - the first import of Airflow sets up logging; do it before the tests
from ecw.crm.db.business_table import Mapped
from ecw.vob import steps
from tests.fixtures.loads import a_row, a_run, load_rows

PATIENTS = Mapped("patient", "ecw_id", ("ecw_id", "last_name", "phone", "language"), "m1")
INSURANCE = Mapped(
    "insurance",
    "ecw_id",
    ("ecw_id", "patient", "payer", "member_id"),
    "m1",
    references=frozenset({"patient"}),
    required_references=frozenset({"patient"}),
)


@dataclass
class Vob:
    """Loads of patients and insurance, as in a pull, and the steps of crm_vob."""

    crm: Engine
    practice: str = "P1"
    loads: int = 0

    def load(
        self,
        resource: str,
        *rows: dict[str, Any],
        run_id: str = "",
        rejects: Sequence[dict[str, Any]] = (),
        **options: Any,
    ) -> str:
        """Load rows of patients or insurance in a new run; return the run's id.

        `options` go to load_rows: the queried patients, and whether the run moves the cursor.
        """
        self.loads += 1
        run = a_run(run_id or f"r{self.loads}", practice=self.practice)
        lines = [a_row(row["ecw_id"], hour=None) | {"hash": repr(row), "row": row} for row in rows]
        batch: Any = {
            **{"run": run, "resource": resource, "path": "", "count": len(lines)},
            **{
                "fetched": len(lines) + len(rejects),
                "rejected": len(rejects),
                "unchanged": 0,
                "rejects": [],
                "calls": 0,
                "seconds": 0.0,
            },
        }
        load_rows(self.crm, run, batch, PATIENTS if resource == "patient" else INSURANCE, lines, rejects, **options)
        return run["run_id"]

    def patients(self, *numbers: int, run_id: str = "", **values: str | None) -> str:
        rows = [{"ecw_id": f"p{n}", "last_name": "Doe", "phone": "1", "language": "en"} | values for n in numbers]
        return self.load("patient", *rows, run_id=run_id)

    def policies(
        self,
        *of: tuple[str, int],
        run_id: str = "",
        queried: Iterable[int] | None = None,
        moves_cursor: bool = True,
        **values: str | None,
    ) -> str:
        """Load policies (eCW id, number of the patient); `queried`: the patients that the run queried one by one."""
        patients = None if queried is None else [f"p{n}" for n in queried]
        rows = [
            {"ecw_id": ecw_id, "patient": f"Patient/p{n}", "payer": "Acme", "member_id": "1"} | values
            for ecw_id, n in of
        ]
        return self.load("insurance", *rows, run_id=run_id, queried=patients, moves_cursor=moves_cursor)

    def initial_sync(self) -> None:
        """Load three patients and two policies, as in a practice's first runs, and let crm_vob read the journal."""
        self.patients(1, 2, 3)
        self.policies(("i1", 1), ("i2", 2))
        assert self.open() == {"opened": 0, "include_initial_sync": 2, "too_many": 0}

    def open(self, of_run: str = "") -> dict[str, int]:
        return steps.open_vob(of_run, "ecw_test", "crm_test", "hook_test")

    def deliver(self) -> dict[str, int]:
        return steps.deliver("ecw_test", "crm_test", "hook_test")

    def rows(self, query: str = "SELECT * FROM vob_request ORDER BY id") -> list[dict[str, Any]]:
        with self.crm.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the connection's extra field `vob`."""

    def put(**vob: Any) -> None:
        extra = {"client_secret": "s3cret", "vob": vob} if vob else {"client_secret": "s3cret"}
        document = {"conn_type": "ecw", "host": "https://fhir.example.com/fhir/r4/P1", "login": "c", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(document))

    put()
    return put


@pytest.fixture
def vob(crm_engine: Engine, crm_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Vob:
    """Return a migrated CRM without loads and without a webhook."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return Vob(crm_engine)
