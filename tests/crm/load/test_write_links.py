"""What happened to a record in eCW is marked, never deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from ecw.crm.db.business_table import Mapped
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_journal, ecw_link
from ecw.models import Counts
from ecw.three_way_merge import Rule
from tests.fixtures.loads import a_batch, a_reject, a_row, a_run, load_rows

PATIENT = Mapped("patient", "ecw_id", ("ecw_id", "last_name", "active"), "m1")


def load(engine: Engine, rows: list[dict[str, Any]], rejects: list[dict[str, Any]], run_id: str) -> Counts:
    return load_rows(engine, a_run(run_id), a_batch(rows, rejects, resource="patient"), PATIENT, rows, rejects)


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
    load(crm_engine, [], [a_reject("b", rule="deleted", column=None)], "r2")
    with reading(crm_engine) as connection:
        crm = dict(connection.execute(text("SELECT ecw_id, emr_status FROM patient")).all())  # type: ignore[arg-type]
        [link] = connection.execute(select(ecw_link).filter_by(ecw_id="b")).mappings()
    assert crm == {"a": None, "b": "deleted"}
    assert (link["status"], link["status_reason"], link["hash"]) == ("deleted", "is empty", "")
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
        ("r2", "update", "a", "active, emr_status", "done"),
    ]
    assert {row["crm_id"] for row in found} == {"1", "2"}
    assert len({row["entry"] for row in found}) == 3
    assert not any("Reyes" in str(value) for row in found for value in row.values())


def told_by(engine: Engine, run_id: str) -> list[tuple[Any, ...]]:
    j = ecw_journal.c
    with reading(engine) as connection:
        statement = select(j.operation, j.ecw_id, j.crm_id, j.fields, j.initial_sync).where(j.run_id == run_id)
        return [tuple(row) for row in connection.execute(statement)]


def test_a_mark_is_an_update_once(crm_engine: Engine) -> None:
    merged = ("merged", "into Patient/b")
    load(crm_engine, [line(), line(ecw_id="b")], [], "r1")
    marked = [line(merged, 11) | {"row": line()["row"]}, line(ecw_id="b", hour=11)]

    numbers = Counts(fetched=2, updated=1, unchanged=1)
    assert load(crm_engine, marked, [], "r2") == numbers
    assert told_by(crm_engine, "r2") == [("update", "a", "1", "emr_status", False)]
    again = [one | {"hash": "again"} for one in marked]
    assert load(crm_engine, again, [], "r2") == numbers, "the same run, cleared, says what it did"
    assert len(told_by(crm_engine, "r2")) == 1
    assert load(crm_engine, marked, [], "r3") == Counts(fetched=2, unchanged=2)


def test_a_mark_leaves_what_the_crm_has_changed(crm_engine: Engine) -> None:
    mine = replace(PATIENT, rules={"last_name": Rule(sync="both", on_conflict="crm")})
    rows = [line()]
    load_rows(crm_engine, a_run("r1"), a_batch(rows, [], resource="patient"), mine, rows, [])
    with crm_engine.begin() as connection:
        connection.execute(text("UPDATE patient SET last_name = 'Reyes-Cole'"))
    rows = [line(("merged", "into Patient/b"), 11) | {"row": line()["row"]}]
    load_rows(crm_engine, a_run("r2"), a_batch(rows, [], resource="patient"), mine, rows, [])
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT last_name FROM patient")).scalars().all() == ["Reyes-Cole"]
    assert marks(crm_engine)[0] == "merged: into Patient/b"
    assert [fields for _, _, _, fields, _ in told_by(crm_engine, "r2")] == ["emr_status"]


def test_a_record_that_is_gone_is_reported_once_as_a_mark_on_its_row(crm_engine: Engine) -> None:
    gone = [a_reject(ecw_id, rule="deleted", column=None) for ecw_id in ("b", "never here")]
    load(crm_engine, [line(), line(ecw_id="b")], [], "r1")

    assert load(crm_engine, [], gone, "r2") == Counts(fetched=2, rejected=2)
    [(operation, ecw_id, crm_id, fields, initial_sync)] = told_by(crm_engine, "r2")
    assert (operation, ecw_id, crm_id, fields, initial_sync) == ("update", "b", "2", "emr_status", None)
    assert load(crm_engine, [], gone, "r3") == Counts(fetched=2, rejected=2)
    assert told_by(crm_engine, "r3") == []

    assert load(crm_engine, [line(ecw_id="b")], [], "r4") == Counts(fetched=1, updated=1)
    assert told_by(crm_engine, "r4") == [("update", "b", "2", "emr_status", False)]
