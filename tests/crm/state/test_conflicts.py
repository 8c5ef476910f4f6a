"""Columns that both sides changed are stored with both values until they are settled."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_conflict, ecw_journal
from ecw.crm.state import conflicts

CRM, EMR = {"city": "Topeka", "last_name": "Nowak"}, {"city": "Lawrence", "last_name": "Kowal"}


def record(
    engine: Engine, run: str, found: dict[str, Any], crm: Any = CRM, emr: Any = EMR, *, done: bool = True
) -> None:
    with engine.begin() as connection:
        merged = conflicts.MergedRecord("P1", "patient", "7", "e.7", run, found, crm, emr)
        conflicts.record(connection, merged, done=done)


def rows(engine: Engine) -> dict[str, dict[str, Any]]:
    with reading(engine) as connection:
        return {row["column"]: dict(row) for row in connection.execute(select(ecw_conflict)).mappings()}


def choices(engine: Engine, crm: Any = CRM, emr: Any = EMR) -> dict[str, Any]:
    with reading(engine) as connection:
        return dict(conflicts.choices(connection, "P1", "patient", "7", crm, emr))


def test_a_conflict_is_settled_once_a_merge_no_longer_reports_it(crm_engine: Engine) -> None:
    record(crm_engine, "r1", {"city": "emr", "last_name": None})
    stored = rows(crm_engine)
    assert (stored["city"]["state"], stored["city"]["winner"]) == ("settled", "emr")
    assert (stored["last_name"]["crm_value"], stored["last_name"]["emr_value"]) == ('"Nowak"', '"Kowal"')
    with reading(crm_engine) as connection:
        assert conflicts.waiting(connection, "P1", "patient") == {"7": {"last_name": '"Nowak"'}}
    record(crm_engine, "r2", {"last_name": None})
    assert (rows(crm_engine)["last_name"]["first_run"], rows(crm_engine)["last_name"]["last_run"]) == ("r1", "r2")
    record(crm_engine, "r3", {})
    assert rows(crm_engine)["last_name"]["state"] == "settled"


def test_a_choice_applies_only_to_the_values_that_it_was_made_for(crm_engine: Engine) -> None:
    assert not conflicts.choose(crm_engine, conflicts.Field("P1", "patient", "7", "last_name"), "crm", "tester")
    record(crm_engine, "r1", {"last_name": None})
    assert conflicts.choose(crm_engine, conflicts.Field("P1", "patient", "7", "last_name"), "crm", "tester")
    assert choices(crm_engine) == {"last_name": "crm"}
    assert choices(crm_engine, emr=EMR | {"last_name": "Other"}) == {}
    with reading(crm_engine) as connection:
        [entry] = connection.execute(select(ecw_journal)).mappings()
    assert (entry["operation"], entry["before"], entry["after"], entry["fields"]) == (
        "conflict",
        None,
        "crm",
        "last_name",
    )
    record(crm_engine, "r2", {"last_name": None})
    assert choices(crm_engine) == {"last_name": "crm"}
    record(crm_engine, "r3", {"last_name": None}, emr=EMR | {"last_name": "Other"})
    assert choices(crm_engine, emr=EMR | {"last_name": "Other"}) == {}


def test_a_merge_that_is_not_done_leaves_conflicts_open_and_choices_in_place(crm_engine: Engine) -> None:
    record(crm_engine, "r1", {"city": None, "last_name": None})
    conflicts.choose(crm_engine, conflicts.Field("P1", "patient", "7", "last_name"), "crm", "tester")
    record(crm_engine, "r2", {"last_name": "crm"}, done=False)
    assert {row["state"] for row in rows(crm_engine).values()} == {"open"}
    assert choices(crm_engine) == {"last_name": "crm"}
    record(crm_engine, "r3", {"city": "crm"}, emr=EMR | {"city": "Hays"}, done=False)
    assert (rows(crm_engine)["city"]["state"], rows(crm_engine)["city"]["emr_value"]) == ("settled", '"Hays"')
    record(crm_engine, "r4", {"last_name": "crm"})
    assert rows(crm_engine)["last_name"]["state"] == "settled"
