"""What became of a record in eCW is marked, never deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from ecw.crm.business import Mapped
from ecw.crm.engine import reading
from ecw.crm.tables import ecw_journal, ecw_link
from tests.fixtures.loads import a_batch, a_reject, a_row, a_run, load_rows

PATIENT = Mapped("patient", "ecw_id", ("ecw_id", "last_name", "active"), "m1")


def load(engine: Engine, rows: list[dict[str, Any]], rejects: list[dict[str, Any]], run_id: str) -> None:
    load_rows(engine, a_run(run_id), a_batch(rows, rejects, resource="patient"), PATIENT, rows, rejects)


def line(status: tuple[str, str] | None = None, hour: int = 10, ecw_id: str = "a") -> dict[str, Any]:
    row = {"ecw_id": ecw_id, "last_name": "Reyes", "active": status is None}
    return a_row(ecw_id, hour=hour) | {"row": row, "status": status}


def marks(engine: Engine) -> list[tuple[Any, ...]]:
    with reading(engine) as connection:
        crm = connection.execute(text("SELECT emr_status FROM patient")).scalars().all()
        links = connection.execute(select(ecw_link.c.status, ecw_link.c.status_reason)).all()
    return [*crm, *(tuple(link) for link in links)]


@pytest.mark.parametrize(
    "status", [("inactive", "eCW has deactivated it"), ("merged", "into Patient/b"), ("deceased", "eCW says so")]
)
def test_a_mark_comes_and_goes_with_what_ecw_says(crm_engine: Engine, status: tuple[str, str]) -> None:
    load(crm_engine, [line()], [], "r1")
    assert marks(crm_engine) == [None, (None, None)]
    load(crm_engine, [line(status, 11)], [], "r2")
    assert marks(crm_engine) == [": ".join(status), status]
    load(crm_engine, [line(None, 12)], [], "r3")
    assert marks(crm_engine) == [None, (None, None)]


def test_a_record_that_vanished_stays_in_the_crm_with_a_mark_until_it_is_back(crm_engine: Engine) -> None:
    load(crm_engine, [line(), line(ecw_id="b")], [], "r1")
    load(crm_engine, [], [a_reject("b", rule="gone", column=None)], "r2")
    with reading(crm_engine) as connection:
        crm = dict(connection.execute(text("SELECT ecw_id, emr_status FROM patient")).all())  # type: ignore[arg-type]
        [link] = connection.execute(select(ecw_link).filter_by(ecw_id="b")).mappings()
    assert crm == {"a": None, "b": "vanished"}
    assert (link["status"], link["status_reason"], link["hash"]) == ("vanished", "is empty", "")
    load(crm_engine, [line(ecw_id="b")], [], "r3")
    with reading(crm_engine) as connection:
        crm = dict(connection.execute(text("SELECT ecw_id, emr_status FROM patient")).all())  # type: ignore[arg-type]
    assert crm == {"a": None, "b": None}


def test_every_change_is_one_row_of_the_journal_without_a_value(crm_engine: Engine) -> None:
    load(crm_engine, [line(), line(ecw_id="b")], [], "r1")
    load(crm_engine, [line(("inactive", "why"), 11), line(ecw_id="b", hour=11)], [], "r2")
    with reading(crm_engine) as connection:
        found = [dict(row) for row in connection.execute(select(ecw_journal)).mappings()]
    told = sorted((row["run_id"], row["operation"], row["ecw_id"], row["fields"], row["outcome"]) for row in found)
    assert told == [
        ("r1", "insert", "a", None, "done"),
        ("r1", "insert", "b", None, "done"),
        ("r2", "update", "a", "active", "done"),
    ]
    assert {row["crm_id"] for row in found} == {"1", "2"}
    assert len({row["entry"] for row in found}) == 3
    assert not any("Reyes" in str(value) for row in found for value in row.values())
