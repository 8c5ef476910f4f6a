"""The summary of a run: its table and the next step of each row."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from ecw.crm.db.engine import reading
from ecw.crm.state import runs
from ecw.pull.summary import as_text, line, table
from tests.fixtures.loads import a_reject, a_row, a_run, load


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_the_log_line_of_a_load_has_every_count_of_the_run(crm_engine: Engine) -> None:
    runs.begin(crm_engine, a_run(), ["location"])
    runs.planned(crm_engine, a_run(), "location", strategy="name_sweep", start="2026-11-22T10:00:00+00:00")
    load(crm_engine, [a_row("a"), a_row("b")], [a_reject("c")], strategy="list")
    with reading(crm_engine) as connection:
        row = runs.row(connection, a_run(), "location")
    assert row is not None
    values = dict(row) | {"seconds": 2.04, "pending_push": 3}
    assert line(values) == (
        "location: fetched 3, rejected 1, inserted 2, updated 0, unchanged 0, pending push 3; 3 calls, 2.0 s; "
        "from 2026-11-22 10:00Z to 2026-11-22 12:00Z by list, mapping m1."
    )
    assert line(values | {"state": "dry", "window_start": None}).endswith("mapping m1, dry run.")


def test_counts_that_are_not_zero_have_a_column_a_sum_and_a_next_step(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a"), a_row("b")], [a_reject("c"), a_reject("d")])
    change(crm_engine, "UPDATE ecw_run SET deferred = 1, locked = 1, seconds = 2")
    change(
        crm_engine,
        'INSERT INTO ecw_conflict (practice, resource, crm_id, "column", ecw_id, state, first_run, last_run) '
        "VALUES ('P1', 'location', '1', 'name', 'a', 'open', 'r1', 'r1')",
    )
    rows = table(crm_engine, a_run())
    [location] = [row for row in rows if row["resource"] == "location"]
    assert (location["deferred"], location["locked"]) == (1, 1)
    assert "conflicts" not in location
    assert location["next"] == (
        "check the 1 rejects: `ecw status` names the reasons. "
        "1 wait in ecw_deferred_row for another record, and are loaded when that record is loaded. "
        "1 conflicts wait for a person: `ecw conflicts` lists them and takes the choice. "
        "1 locked rows were not updated: clear emr_updates_locked in the CRM to allow updates."
    )
    assert {row["state"] for row in rows if row is not location} == {"not asked for"}
    assert not any(row["next"] for row in rows if row is not location)
    lines = [each.split() for each in as_text(rows).splitlines()]
    assert lines[0] == [
        *("resource", "fetched", "rejected", "inserted", "updated", "unchanged", "locked", "deferred"),
        *("seconds", "calls", "strategy", "state"),
    ]
    assert lines[2] == ["location", "4", "2", "2", "0", "0", "1", "1", "2.0", "3", "-", "loaded"]
    assert lines[6] == ["all", "4", "2", "2", "0", "0", "1", "1", "3"]


def test_stale_records_are_reported_in_a_scheduled_run_and_not_in_a_backfill(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", hour=23)], run=a_run("slip"))
    by_run_type = {}
    for run_type in ("scheduled", "backfill"):
        run = a_run(run_type, run_type=run_type)
        load(crm_engine, [a_row("a", "New")], run=run)
        [by_run_type[run_type]] = [row for row in table(crm_engine, run) if row["resource"] == "location"]
    assert [row["stale"] for row in by_run_type.values()] == [1, 1]
    assert by_run_type["backfill"]["next"] == ""
    assert by_run_type["scheduled"]["next"] == "1 changed nothing: another run has loaded a newer version."
    load(crm_engine, [a_row("a", "New")], run=a_run("again"))
    [again] = [row for row in table(crm_engine, a_run("again")) if row["resource"] == "location"]
    assert again["next"].endswith(
        "1 of them were stale in an earlier run, too: pull them by their ids, which always loads them."
    )
    assert load(crm_engine, [a_row("a", "New")], run=a_run("next"), always=True).updated == 1


def test_the_completeness_is_shown_below_the_table(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")], completeness="not proven, for a reason")
    rows = table(crm_engine, a_run())
    completeness = "location: not proven, for a reason; no row waits for a missing record."
    assert completeness in as_text(rows).splitlines()
    change(
        crm_engine,
        "INSERT INTO ecw_deferred_row (practice, resource, ecw_id, missing_resource, missing_id, line, deferred_run) "
        "VALUES ('P1', 'encounter', 'e', 'location', 'l', '{}', 'r1')",
    )
    assert "1 referenced records are not loaded yet" in as_text(table(crm_engine, a_run()))


def test_counts_that_do_not_add_up_are_the_next_step_of_a_row(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    change(crm_engine, "UPDATE ecw_run SET fetched = 7")
    [location] = [row for row in table(crm_engine, a_run()) if row["resource"] == "location"]
    assert location["next"].startswith("CountMismatch: Records went missing between extract and load: fetched 7")


@pytest.mark.parametrize(
    ("state", "error", "next_step"),
    [
        ("dry", None, "a dry run, nothing was written: trigger it again without dry run to load."),
        ("failed", "KeyError", "KeyError: read the log of the failed task."),
        ("failed", "X: No. Next (Airflow): wait.", "X: No. Next (Airflow): wait."),
        ("running", None, "read the log of the resource's first task that is not green."),
    ],
)
def test_every_state_names_its_next_step(crm_engine: Engine, state: str, error: str | None, next_step: str) -> None:
    load(crm_engine, [a_row("a")])
    with crm_engine.begin() as connection:
        connection.execute(text("UPDATE ecw_run SET state = :state, error = :error"), {"state": state, "error": error})
    assert [row["next"] for row in table(crm_engine, a_run()) if row["resource"] == "location"] == [next_step]


def test_a_run_without_rows_has_not_begun(crm_engine: Engine) -> None:
    assert {row["state"] for row in table(crm_engine, a_run("never"))} == {"not begun"}
