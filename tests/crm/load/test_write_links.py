"""A record that eCW deactivated, merged or deleted gets a mark in the CRM; its row is never deleted."""

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


def a_staged_row(status: tuple[str, str] | None = None, hour: int = 10, ecw_id: str = "a") -> dict[str, Any]:
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
def test_a_mark_is_set_and_removed_as_ecws_status_changes(crm_engine: Engine, status: tuple[str, str]) -> None:
    load(crm_engine, [a_staged_row()], [], "r1")
    assert marks(crm_engine) == [None, (None, None)]
    load(crm_engine, [a_staged_row(status, 11)], [], "r2")
    assert marks(crm_engine) == [": ".join(status), status]
    load(crm_engine, [a_staged_row(None, 12)], [], "r3")
    assert marks(crm_engine) == [None, (None, None)]


def test_a_deleted_record_is_marked_in_the_crm_until_ecw_returns_it_again(crm_engine: Engine) -> None:
    load(crm_engine, [a_staged_row(), a_staged_row(ecw_id="b")], [], "r1")
    load(crm_engine, [], [a_reject("b", rule="deleted", column=None)], "r2")
    with reading(crm_engine) as connection:
        crm = dict(connection.execute(text("SELECT ecw_id, emr_status FROM patient")).all())  # type: ignore[arg-type]
        [link] = connection.execute(select(ecw_link).filter_by(ecw_id="b")).mappings()
    assert crm == {"a": None, "b": "deleted"}
    assert (link["status"], link["status_reason"], link["hash"]) == ("deleted", "is empty", "")
    load(crm_engine, [a_staged_row(ecw_id="b")], [], "r3")
    with reading(crm_engine) as connection:
        crm = dict(connection.execute(text("SELECT ecw_id, emr_status FROM patient")).all())  # type: ignore[arg-type]
    assert crm == {"a": None, "b": None}


def test_every_change_is_one_journal_entry_without_values(crm_engine: Engine) -> None:
    load(crm_engine, [a_staged_row(), a_staged_row(ecw_id="b")], [], "r1")
    load(crm_engine, [a_staged_row(("inactive", "why"), 11), a_staged_row(ecw_id="b", hour=11)], [], "r2")
    with reading(crm_engine) as connection:
        entries = [dict(row) for row in connection.execute(select(ecw_journal)).mappings()]
    columns = ("run_id", "operation", "ecw_id", "fields", "outcome")
    assert sorted(tuple(entry[name] for name in columns) for entry in entries) == [
        ("r1", "insert", "a", None, "done"),
        ("r1", "insert", "b", None, "done"),
        ("r2", "update", "a", "active, emr_status", "done"),
    ]
    assert {entry["crm_id"] for entry in entries} == {"1", "2"}
    assert len({entry["entry"] for entry in entries}) == 3
    assert not any("Reyes" in str(value) for entry in entries for value in entry.values())


def journal_of(engine: Engine, run_id: str) -> list[tuple[Any, ...]]:
    j = ecw_journal.c
    with reading(engine) as connection:
        statement = select(j.operation, j.ecw_id, j.crm_id, j.fields, j.initial_sync).where(j.run_id == run_id)
        return [tuple(row) for row in connection.execute(statement)]


def test_a_mark_counts_as_an_update_once(crm_engine: Engine) -> None:
    merged = ("merged", "into Patient/b")
    load(crm_engine, [a_staged_row(), a_staged_row(ecw_id="b")], [], "r1")
    marked = [a_staged_row(merged, 11) | {"row": a_staged_row()["row"]}, a_staged_row(ecw_id="b", hour=11)]

    numbers = Counts(fetched=2, updated=1, unchanged=1)
    assert load(crm_engine, marked, [], "r2") == numbers
    assert journal_of(crm_engine, "r2") == [("update", "a", "1", "emr_status", False)]
    again = [one | {"hash": "again"} for one in marked]
    assert load(crm_engine, again, [], "r2") == numbers, "the same run, cleared, returns the same counts"
    assert len(journal_of(crm_engine, "r2")) == 1
    assert load(crm_engine, marked, [], "r3") == Counts(fetched=2, unchanged=2)


def test_setting_a_mark_does_not_overwrite_an_edit_of_the_crm(crm_engine: Engine) -> None:
    crm_wins = replace(PATIENT, rules={"last_name": Rule(sync="both", on_conflict="crm")})
    rows = [a_staged_row()]
    load_rows(crm_engine, a_run("r1"), a_batch(rows, [], resource="patient"), crm_wins, rows, [])
    with crm_engine.begin() as connection:
        connection.execute(text("UPDATE patient SET last_name = 'Reyes-Cole'"))
    rows = [a_staged_row(("merged", "into Patient/b"), 11) | {"row": a_staged_row()["row"]}]
    load_rows(crm_engine, a_run("r2"), a_batch(rows, [], resource="patient"), crm_wins, rows, [])
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT last_name FROM patient")).scalars().all() == ["Reyes-Cole"]
    assert marks(crm_engine)[0] == "merged: into Patient/b"
    assert [fields for _, _, _, fields, _ in journal_of(crm_engine, "r2")] == ["emr_status"]


def test_a_deleted_record_is_one_journal_entry_and_none_when_it_is_still_deleted(crm_engine: Engine) -> None:
    deletions = [a_reject(ecw_id, rule="deleted", column=None) for ecw_id in ("b", "never here")]
    load(crm_engine, [a_staged_row(), a_staged_row(ecw_id="b")], [], "r1")

    assert load(crm_engine, [], deletions, "r2") == Counts(fetched=2, rejected=2)
    [(operation, ecw_id, crm_id, fields, initial_sync)] = journal_of(crm_engine, "r2")
    assert (operation, ecw_id, crm_id, fields, initial_sync) == ("update", "b", "2", "emr_status", None)
    assert load(crm_engine, [], deletions, "r3") == Counts(fetched=2, rejected=2)
    assert journal_of(crm_engine, "r3") == []

    assert load(crm_engine, [a_staged_row(ecw_id="b")], [], "r4") == Counts(fetched=1, updated=1)
    assert journal_of(crm_engine, "r4") == [("update", "b", "2", "emr_status", False)]
