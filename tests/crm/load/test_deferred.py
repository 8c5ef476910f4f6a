"""A row whose required reference is missing is deferred: it is kept, reported, and loaded once that record is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, select, text

from ecw.crm.db.business_table import Mapped
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import metadata
from ecw.crm.load import deferred
from ecw.crm.state import links
from ecw.models import Counts
from tests.fixtures.loads import a_batch, a_reject, a_row, a_run, load_rows

ENCOUNTER = Mapped(
    "encounter",
    "ecw_id",
    ("ecw_id", "patient", "practitioner", "status", "start_time"),
    "m1",
    references=frozenset({"patient", "practitioner"}),
    required_references=frozenset({"patient"}),
)
PATIENT = Mapped("patient", "ecw_id", ("ecw_id", "last_name"), "m1")


def visit(ecw_id: str, patient: str = "Patient/a", hour: int = 10, status: str = "planned") -> dict[str, Any]:
    row = {"ecw_id": ecw_id, "patient": patient, "status": status, "start_time": "2026-11-22T10:00:00+00:00"}
    return a_row(ecw_id, hour=hour) | {"row": row}


def load(
    engine: Engine,
    mapped: Mapped,
    *rows: dict[str, Any],
    run_id: str,
    rejects: tuple[dict[str, Any], ...] = (),
    **more: Any,
) -> Counts:
    batch = a_batch(list(rows), list(rejects), resource=mapped.table)
    return load_rows(engine, a_run(run_id), batch, mapped, rows, rejects, source="extract.ndjson.gz", **more)


def load_patient(engine: Engine, ecw_id: str = "a", run_id: str = "p") -> None:
    load(engine, PATIENT, a_row(ecw_id) | {"row": {"ecw_id": ecw_id, "last_name": "Reyes"}}, run_id=run_id)


def table(engine: Engine, name: str, **where: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(metadata.tables[name]).filter_by(**where)).mappings()]


def patients_by_encounter(engine: Engine) -> dict[str, str]:
    with reading(engine) as connection:
        query = "SELECT e.ecw_id, p.last_name FROM encounter e JOIN patient p ON p.id = e.patient_id"
        return dict(connection.execute(text(query)).all())  # type: ignore[arg-type]  # rows of two


def test_a_row_without_its_patient_is_deferred_and_loaded_after_the_patient(crm_engine: Engine) -> None:
    load_patient(crm_engine, "b")
    numbers = load(crm_engine, ENCOUNTER, visit("v1"), visit("v2", "Patient/b"), run_id="r1")
    assert numbers == Counts(fetched=2, rejected=1, inserted=1)
    assert patients_by_encounter(crm_engine) == {"v2": "Reyes"}
    [reject] = table(crm_engine, "ecw_reject")
    assert (reject["ecw_id"], reject["step"], reject["rule"], reject["column"]) == ("v1", "load", "deferred", "patient")
    assert (reject["state"], reject["batch"]) == ("open", "extract.ndjson.gz")
    assert deferred.required_ids(crm_engine, "P1", "patient") == ["a"]

    load_patient(crm_engine, "a", run_id="p2")
    assert load(crm_engine, ENCOUNTER, run_id="r2") == Counts(fetched=1, inserted=1)
    assert patients_by_encounter(crm_engine) == {"v1": "Reyes", "v2": "Reyes"}
    [reject] = table(crm_engine, "ecw_reject")
    assert (reject["state"], reject["resolved_run"]) == ("resolved", "r2")
    assert deferred.required_ids(crm_engine, "P1", "patient") == []
    assert table(crm_engine, "ecw_deferred_row") == []
    deferred_counts = {row["run_id"]: (row["deferred"], row["deferred_loaded"]) for row in table(crm_engine, "ecw_run")}
    assert (deferred_counts["r1"], deferred_counts["r2"]) == ((1, 0), (0, 1))


def test_an_older_version_does_not_replace_a_deferred_row(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1", hour=11, status="arrived"), run_id="r1")
    load(crm_engine, ENCOUNTER, visit("v1", hour=9), run_id="r2")
    load_patient(crm_engine)
    load(crm_engine, ENCOUNTER, run_id="r3")
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT status FROM encounter")).scalars().all() == ["arrived"]


def test_a_newer_version_in_the_batch_wins_over_the_deferred_row(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1"), run_id="r1")
    load_patient(crm_engine)
    numbers = load(crm_engine, ENCOUNTER, visit("v1", hour=11, status="finished"), run_id="r2")
    assert numbers == Counts(fetched=2, inserted=1, unchanged=1)
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT status FROM encounter")).scalars().all() == ["finished"]


def test_loading_the_same_batch_again_returns_the_same_counts(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1"), run_id="r1")
    load_patient(crm_engine)
    first = load(crm_engine, ENCOUNTER, visit("v2"), run_id="r2")
    assert first == Counts(fetched=2, inserted=2)
    assert load(crm_engine, ENCOUNTER, visit("v2"), run_id="r2") == first


def test_a_rejected_patient_is_not_among_the_required_ids(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1"), visit("v2", "Patient/b"), run_id="r1")
    assert deferred.required_ids(crm_engine, "P1", "patient") == ["a", "b"]
    load(crm_engine, PATIENT, run_id="p", rejects=(a_reject("b"),))
    assert deferred.required_ids(crm_engine, "P1", "patient") == ["a"]


def test_a_deferred_row_whose_record_was_deleted_is_not_loaded(crm_engine: Engine) -> None:
    deleted = a_reject("v1", "deleted", None, hour=None)
    load(crm_engine, ENCOUNTER, visit("v1"), visit("v2", "Patient/b"), run_id="r1")
    load(crm_engine, ENCOUNTER, run_id="r2", rejects=(deleted,))
    assert deferred.required_ids(crm_engine, "P1", "patient") == ["b"]
    load_patient(crm_engine)
    assert load(crm_engine, ENCOUNTER, run_id="r3") == Counts()

    load_patient(crm_engine, "b", run_id="p2")
    deleted_too = a_reject("v2", "deleted", None, hour=None)
    numbers = load(crm_engine, ENCOUNTER, run_id="r4", rejects=(deleted_too,))
    assert numbers == Counts(fetched=2, rejected=1, unchanged=1), "the deferred row, and its deletion"

    assert patients_by_encounter(crm_engine) == {}
    assert table(crm_engine, "ecw_deferred_row") == []
    states = {(row["ecw_id"], row["rule"]): row["state"] for row in table(crm_engine, "ecw_reject")}
    deletions = {("v1", "deleted"): "open", ("v2", "deleted"): "open"}
    assert states == deletions | {("v1", "deferred"): "resolved", ("v2", "deferred"): "resolved"}


def test_a_dry_run_writes_only_its_counts(crm_engine: Engine) -> None:
    load_patient(crm_engine)
    load(crm_engine, ENCOUNTER, visit("v1"), run_id="r1")
    before = {name: table(crm_engine, name) for name in metadata.tables if name != "ecw_run"}
    rows = (visit("v1", hour=11, status="finished"), visit("v2"), visit("v3"))
    numbers = load(crm_engine, ENCOUNTER, *rows, run_id="dry", rejects=(a_reject("x"),), dry_run=True)
    assert numbers == Counts(fetched=4, rejected=1, inserted=2, updated=1)
    assert {name: table(crm_engine, name) for name in metadata.tables if name != "ecw_run"} == before
    assert patients_by_encounter(crm_engine) == {"v1": "Reyes"}
    [run_row] = table(crm_engine, "ecw_run", run_id="dry")
    assert (run_row["state"], run_row["inserted"], run_row["updated"]) == ("dry", 2, 1)
    assert load(crm_engine, ENCOUNTER, *rows, run_id="dry", dry_run=True).inserted == 2, (
        "a second dry run returns the same counts"
    )


def test_a_deferred_row_is_loaded_without_the_columns_that_the_mapping_dropped(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1"), run_id="r1")
    load_patient(crm_engine)
    without = replace(ENCOUNTER, columns=("ecw_id", "patient", "practitioner", "start_time"), version="m2")
    assert load(crm_engine, without, run_id="r2") == Counts(fetched=1, inserted=1)
    assert patients_by_encounter(crm_engine) == {"v1": "Reyes"}
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT status FROM encounter")).scalars().all() == [None]


def test_a_deferred_row_of_an_older_mapping_is_mapped_again_by_the_next_run(crm_engine: Engine) -> None:
    waiting = visit("v1")
    del waiting["row"]["status"]
    before = replace(ENCOUNTER, columns=("ecw_id", "patient", "practitioner", "start_time"), version="m0")
    load(crm_engine, before, waiting, visit("v2") | {"row": waiting["row"] | {"ecw_id": "v2"}}, run_id="r1")
    load_patient(crm_engine)
    load(crm_engine, ENCOUNTER, run_id="r2")
    known = links.known(crm_engine, "P1", "encounter")
    assert not known.unchanged("v1", waiting["hash"], "m1")
    again = waiting | {"row": waiting["row"] | {"status": "planned"}}
    assert load(crm_engine, ENCOUNTER, again, run_id="r3") == Counts(fetched=1, updated=1)
    assert links.known(crm_engine, "P1", "encounter").unchanged("v1", waiting["hash"], "m1")


def test_deferred_rows_are_loaded_once_the_mapping_makes_their_reference_optional(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1"), run_id="r1")
    optional = replace(ENCOUNTER, version="m2", required_references=frozenset())
    assert load(crm_engine, optional, run_id="r2") == Counts(fetched=1, inserted=1)
    assert table(crm_engine, "ecw_deferred_row") == []


def test_a_deferred_version_does_not_overwrite_a_newer_one_that_equals_the_loaded_row(
    crm_engine: Engine,
) -> None:
    oldest = visit("v1", hour=8)
    load_patient(crm_engine)
    load(crm_engine, ENCOUNTER, oldest, run_id="r1")
    load(crm_engine, ENCOUNTER, visit("v1", "Patient/b", hour=9, status="cancelled"), run_id="r2")
    assert not links.known(crm_engine, "P1", "encounter").unchanged("v1", oldest["hash"], "m1")
    newest = oldest | {"version": visit("v1", hour=10)["version"]}
    assert load(crm_engine, ENCOUNTER, newest, run_id="r3") == Counts(fetched=1, unchanged=1)
    assert table(crm_engine, "ecw_deferred_row") == []
    assert [reject["state"] for reject in table(crm_engine, "ecw_reject")] == ["resolved"]
    load_patient(crm_engine, "b", run_id="p2")
    assert load(crm_engine, ENCOUNTER, run_id="r4") == Counts()
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT status FROM encounter")).scalars().all() == ["planned"]


def test_an_older_version_does_not_resolve_a_newer_deferred_one(crm_engine: Engine) -> None:
    load_patient(crm_engine)
    load(crm_engine, ENCOUNTER, visit("v1", "Patient/b", hour=11, status="arrived"), run_id="r1")
    load(crm_engine, ENCOUNTER, visit("v1", hour=9), run_id="r2")
    assert [reject["state"] for reject in table(crm_engine, "ecw_reject")] == ["open"]
    load_patient(crm_engine, "b", run_id="p2")
    assert load(crm_engine, ENCOUNTER, run_id="r3") == Counts(fetched=1, updated=1)
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT status, patient FROM encounter")).all() == [("arrived", "Patient/b")]


def test_a_deferred_version_older_than_the_loaded_one_is_removed(crm_engine: Engine) -> None:
    load_patient(crm_engine)
    load(crm_engine, ENCOUNTER, visit("v1", "Patient/b", hour=9), run_id="r1")
    with crm_engine.begin() as connection:  # as a run that read the table earlier leaves it
        waiting = connection.execute(select(metadata.tables["ecw_deferred_row"])).mappings().one()
    load(crm_engine, ENCOUNTER, visit("v1", hour=11, status="arrived"), run_id="r2")
    with crm_engine.begin() as connection:
        connection.execute(metadata.tables["ecw_deferred_row"].insert().values(dict(waiting)))
    load_patient(crm_engine, "b", run_id="p2")
    assert load(crm_engine, ENCOUNTER, run_id="r3") == Counts(fetched=1, unchanged=1)
    assert table(crm_engine, "ecw_deferred_row") == []


def test_a_dry_run_counts_deferred_rows_and_deferred_rows_that_a_run_would_load(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1"), run_id="r1")
    rows = visit("v2"), visit("v3", "Patient/b")
    dry = load(crm_engine, ENCOUNTER, *rows, run_id="dry", dry_run=True)
    assert dry == Counts(fetched=2, rejected=2)
    after_its_patients = load(crm_engine, ENCOUNTER, *rows, run_id="dry", dry_run=True, coming=[("patient", "a")])
    load_patient(crm_engine)
    assert load(crm_engine, ENCOUNTER, *rows, run_id="r2") == after_its_patients
    assert after_its_patients == Counts(fetched=3, rejected=1, inserted=2)
    run_rows = {row["run_id"]: row for row in table(crm_engine, "ecw_run")}
    for name in ("deferred", "deferred_loaded"):
        assert run_rows["dry"][name] == run_rows["r2"][name] == 1
