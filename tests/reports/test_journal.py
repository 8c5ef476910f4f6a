"""The Integration Logs by page and by run, with every combination of filters, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_journal, ecw_run
from ecw.reports import journal
from ecw.reports.journal import JournalFilter, Position
from tests.fixtures.console_data import Scale, fill, run_id
from tests.fixtures.examples import examples

pytestmark = pytest.mark.both_databases
HOUR = datetime(2026, 11, 22, 9, tzinfo=UTC)
EMPTY = dict.fromkeys(("crm_id", "ecw_id", "http_status", "code", "next_step", "fields"))


def an_entry(number: int, at: datetime = HOUR, **changes: Any) -> dict[str, Any]:
    key = {"practice": "P1", "entry": str(UUID(int=number)), "at": at, "run_id": "r1", "direction": "pull"}
    return EMPTY | key | {"resource": "patient", "operation": "update", "outcome": "done", "message": "x"} | changes


def write(engine: Engine, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(delete(ecw_journal))
        connection.execute(insert(ecw_journal), rows)


def all_pages(engine: Engine, criteria: JournalFilter, limit: int) -> list[str]:
    entries: list[str] = []
    before: Position | None = None
    with reading(engine) as connection:
        while True:
            page, before = journal.entries(connection, criteria, before, limit)
            assert len(page) <= limit
            entries += [row["entry"] for row in page]
            if before is None:
                return entries
            before = Position.read(str(before))


SOME = st.lists(
    st.tuples(
        *(st.integers(0, 3), st.sampled_from(["r1", "r2", ""]), st.sampled_from(["pull", "push", "decision"])),
        *(st.sampled_from(["patient", "encounter"]), st.sampled_from(["done", "unknown", "fix the data"])),
        *(st.sampled_from([None, "E1", "E2"]), st.sampled_from([None, "1", "2"]), st.sampled_from([None, "1", "9"])),
    ),
    min_size=1,
    max_size=25,
)
FILTERS: dict[str, list[str | None]] = {
    **{"direction": [None, "pull", "push"], "resource": [None, "encounter"], "outcome": [None, "done", "unknown"]},
    **{"code": [None, "E1"], "run_id": [None, "r1", ""], "record": [None, "1"]},
}
KEYS = ("direction", "resource", "outcome", "code", "crm_id", "ecw_id")


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=SOME)
def test_pages_and_runs_list_each_matching_entry_once(crm_engine: Engine, some: list[tuple[Any, ...]]) -> None:
    rows = [
        an_entry(number, HOUR + timedelta(seconds=second), run_id=run, **dict(zip(KEYS, rest, strict=True)))
        for number, (second, run, *rest) in enumerate(some)
    ]
    write(crm_engine, rows)
    for values in product(*FILTERS.values()):
        filters = dict(zip(FILTERS, values, strict=True))
        plain = {name: value for name, value in filters.items() if value is not None and name != "record"}
        expected = [row for row in rows if all(row[name] == value for name, value in plain.items())]
        if (record := filters["record"]) is not None:
            expected = [row for row in expected if record in (row["crm_id"], row["ecw_id"])]
        order = sorted(expected, key=lambda row: (row["at"], row["run_id"], row["entry"]), reverse=True)
        criteria = JournalFilter("P1", **filters)
        assert all_pages(crm_engine, criteria, 4) == [row["entry"] for row in order]
        if filters["record"] is None:
            newest = list(dict.fromkeys(row["run_id"] for row in order))
            assert [(line.run_id, line.entries) for line in all_runs(crm_engine, criteria)] == [
                (run, sum(row["run_id"] == run for row in expected)) for run in newest
            ]


def all_runs(engine: Engine, criteria: JournalFilter, limit: int = 2) -> list[journal.RunLine]:
    lines: list[journal.RunLine] = []
    before: Position | None = None
    with reading(engine) as connection:
        while True:
            page, before = journal.runs(connection, criteria, before, limit)
            lines += page
            if before is None:
                return lines


def test_a_run_with_many_entries_is_one_line(crm_engine: Engine) -> None:
    fill(crm_engine, "P1", Scale(days=1, first_load=journal.COUNTED + 1), now=HOUR)
    lines = all_runs(crm_engine, JournalFilter("P1"), 5)
    assert len(lines) == len({line.run_id for line in lines})
    first = lines[-1]
    assert (first.run_id, first.entries, first.more) == (
        run_id(HOUR - timedelta(hours=22, minutes=7)),
        journal.COUNTED,
        True,
    )
    assert first.inserted is not None
    assert first.inserted >= journal.COUNTED + 1  # the number of ecw_run covers the whole run
    assert sum(part.entries for part in lines[-2].parts) == lines[-2].entries == 29


def test_times_are_half_open(crm_engine: Engine) -> None:
    write(crm_engine, [an_entry(number, HOUR + timedelta(hours=number)) for number in range(4)])
    criteria = JournalFilter("P1", start=HOUR + timedelta(hours=1), end=HOUR + timedelta(hours=3))
    assert all_pages(crm_engine, criteria, 10) == [str(UUID(int=2)), str(UUID(int=1))]


def test_the_choices_of_a_filter_are_the_values_of_the_entries(crm_engine: Engine) -> None:
    fill(crm_engine, "P1", Scale(days=1), now=HOUR)
    fill(crm_engine, "P2", Scale(days=1), now=HOUR)
    with reading(crm_engine) as connection:
        assert journal.practices(connection) == ["P1", "P2"]
        assert journal.outcomes(connection, "P1") == ["done", "fix the data", "needs a person", "unknown"]
        assert journal.codes(connection, "P1") == ["EMRPAT-21"]
        assert journal.codes(connection, "elsewhere") == []


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "ecw_journal_at"),
        ({"direction": "pull", "outcome": "done"}, "ecw_journal_at"),
        ({"direction": "push", "resource": "patient"}, "ecw_journal_by_direction"),
        ({"outcome": "unknown", "direction": "push"}, "ecw_journal_by_outcome"),
        ({"resource": "patient", "direction": "pull"}, "ecw_journal_by_resource"),
        ({"code": "E1", "resource": "patient", "outcome": "unknown"}, "ecw_journal_by_code"),
        ({"run_id": "r1", "direction": "push"}, "ecw_journal_by_run_id"),
        ({"record": "1", "resource": "patient"}, "ecw_journal_by_crm_id"),
    ],
)
def test_the_most_selective_filter_chooses_the_index_and_nothing_is_sorted(
    crm_engine: Engine, filters: dict[str, str], index: str
) -> None:
    """SQLite shows its query plan; PostgreSQL has the same indexes and chooses by statistics."""
    with crm_engine.connect() as connection:
        at = Position(HOUR, "r1", "e")
        query = journal.statement(connection, JournalFilter("P1", **filters), at)
        if connection.dialect.name != "sqlite":
            assert connection.execute(query).all() == []
            return
        text = str(query.compile(crm_engine, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
        assert f"USING INDEX {index} (practice=?" in plan, plan
        if "record" not in filters and "run_id" not in filters:
            assert "TEMP B-TREE" not in plan, plan


def test_a_line_has_the_mode_and_the_counts_of_its_run(crm_engine: Engine) -> None:
    write(crm_engine, [an_entry(1, run_id="r1")])
    with crm_engine.begin() as connection:
        connection.execute(
            insert(ecw_run).values(
                **{"practice": "P1", "run_id": "r1", "resource": "patient", "run_type": "manual", "mode": "replay"},
                **{"state": "loaded", "started_at": HOUR, "inserted": 3, "updated": 2, "rejected": 1},
            )
        )
    [line] = all_runs(crm_engine, JournalFilter("P1"))
    assert (line.mode, line.inserted, line.updated, line.rejected, line.state) == ("replay", 3, 2, 1, "loaded")
